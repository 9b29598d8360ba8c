"""The options of a command, defined once: fields of a frozen dataclass are Python's keywords and the command's flags.

::

    @dataclass(frozen=True)
    class TrainOptions:
        config: str = argument('config file')
        epochs: int | None = option(None, 'length of the run', metavar='N')

    @takes_options(TrainOptions)
    def train(options: TrainOptions) -> ...

    train('config.py', epochs=20)                    # the same as
    train(TrainOptions('config.py', epochs=20))
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

__all__ = ['argument', 'flag_of', 'in_flags', 'in_words', 'option', 'speaking_flags', 'takes_options']

P = ParamSpec('P')
R = TypeVar('R')


def argument(help: str, *, default: Any = dataclasses.MISSING, **extra: Any) -> Any:
    """A field that is positional, in Python and on the command line; with a default, it may be left out."""
    return dataclasses.field(default=default, metadata=dict(help=help, positional=True, **extra))


def option(default: Any, help: str, *, flag: str | None = None, metavar: str | tuple[str, ...] | None = None,
           choices: Sequence[str] | None = None, kw_only: bool = True, **extra: Any) -> Any:
    """A field that is a keyword in Python and a flag on the command line.

    Args:
        default, help: Its value where it is not given, and what it does.
        flag: The flag where it is not ``--`` and the field's name.
        kw_only: Whether Python takes it as a keyword only.
        metavar, choices, extra: As :meth:`argparse.ArgumentParser.add_argument` takes them.
    """
    metadata = dict(help=help, flag=flag, metavar=metavar, choices=choices, **extra)
    return dataclasses.field(default=default, kw_only=kw_only, metadata=metadata)


def flag_of(field: dataclasses.Field[Any]) -> str:
    """What stands for a field on the command line: its flag, or the name of a positional argument."""
    if field.metadata.get('positional'):
        return field.metadata.get('metavar') or field.name.upper()
    return field.metadata.get('flag') or '--' + field.name.replace('_', '-')


def takes_options(options: Callable[P, Any]) -> Callable[[Callable[[Any], R]], Callable[P, R]]:
    """Let a function of an options object be called with the options themselves, too, with their types."""

    def decorate(function: Callable[[Any], R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            given = len(args) == 1 and not kwargs and isinstance(args[0], options)  # type: ignore[arg-type]
            return function(args[0] if given else options(*args, **kwargs))
        return call

    return decorate


# The options of the command that runs, and the words that were typed behind it.
_command: ContextVar[tuple[type, Sequence[str]] | None] = ContextVar('_command', default=None)


@contextmanager
def speaking_flags(options: type, typed: Sequence[str] = ()) -> Iterator[None]:
    """Within it, :func:`in_words` speaks of the flags of a command; the command line runs each command in it."""
    before = _command.set((options, typed))
    try:
        yield
    finally:
        _command.reset(before)


def in_words(message: str) -> str:
    """What is said to a person: of Python's arguments, or of flags where a command line was typed."""
    command = _command.get()
    return message if command is None else in_flags(message, *command)


def in_flags(message: str, options: type, typed: Sequence[str] = ()) -> str:
    """An error of the package, which names Python's arguments, in the words of the command line.

    ``epochs=-1`` becomes ``--epochs -1``, ``epochs`` in backticks ``--epochs``, and ``amp=True`` becomes ``--amp``. A
    positional argument has no flag: ``source=fish`` becomes ``fish``. What is part of a path, of another name, of a
    call or of what was ``typed`` behind the command stays as it is.
    """
    fields = {field.name: field for field in dataclasses.fields(options)}
    names = '|'.join(sorted(fields, key=len, reverse=True)) or '(?!)'
    values = {part for word in typed for part in (word, word.partition('=')[2]) if re.search('[=`]', part)}
    kept = '|'.join(re.escape(value) for value in sorted(values, key=len, reverse=True)) or '(?!)'

    def flag(found: re.Match[str]) -> str:
        if found['kept']:
            return found['kept']
        field = fields.get(found['given'] or found['named'])
        if field is None:
            return '--no-python-config'
        if found['named'] or found['true']:
            return flag_of(field)
        value = "''" if found['value'] is None else ''
        return value if field.metadata.get('positional') else f'{flag_of(field)} {value}'

    return re.sub(
        rf'(?P<kept>(?<![\w-])(?:{kept}))|`(?P<named>{names}|no_python_config)`|'
        rf'(?<![\w.\-/=\\\'"])(?<!\w\()(?P<given>{names})=(?:(?P<true>True\b)|(?P<value>(?!:?(?:\s|$)))|)',
        flag, message)
