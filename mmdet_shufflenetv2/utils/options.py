"""Options of a command, defined once: the fields of a frozen dataclass become Python keywords and command-line flags.

::

    @dataclass(frozen=True)
    class TrainOptions:
        config: str = argument('config file')
        epochs: int | None = option(None, 'length of the run', metavar='N')

    @takes_options(TrainOptions)
    def train(options: TrainOptions) -> ...

    train('config.py', epochs=20)                    # is the same as
    train(TrainOptions('config.py', epochs=20))
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

__all__ = ['TakesOptions', 'argument', 'flag_of', 'in_flags', 'in_words', 'option', 'speaking_flags', 'takes_options']

P = ParamSpec('P')
O = TypeVar('O', contravariant=True)  # noqa: E741  # options
R = TypeVar('R', covariant=True)


class TakesOptions(Protocol[O, P, R]):
    """A function that takes an options object, or the options themselves as arguments."""

    @overload
    def __call__(self, options: O, /) -> R: ...

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


def argument(help: str, *, default: Any = dataclasses.MISSING, **extra: Any) -> Any:
    """A field that is positional in Python and on the command line; with a default, it is optional."""
    return dataclasses.field(default=default, metadata=dict(help=help, positional=True, **extra))


def option(
    default: Any,
    help: str,
    *,
    flag: str | None = None,
    metavar: str | tuple[str, ...] | None = None,
    choices: Sequence[str] | None = None,
    kw_only: bool = True,
    **extra: Any,
) -> Any:
    """A field that is a keyword in Python and a flag on the command line.

    Args:
        default, help: Its default value, and what it does.
        flag: Name of the flag; by default ``--`` and the field's name.
        kw_only: Whether it is keyword-only in Python.
        metavar, choices, extra: As in :meth:`argparse.ArgumentParser.add_argument`.
    """
    metadata = dict(help=help, flag=flag, metavar=metavar, choices=choices, **extra)
    return dataclasses.field(default=default, kw_only=kw_only, metadata=metadata)


def flag_of(field: dataclasses.Field[Any]) -> str:
    """Name of a field on the command line: its flag, or the name of a positional argument."""
    if field.metadata.get('positional'):
        return field.metadata.get('metavar') or field.name.upper()
    return field.metadata.get('flag') or '--' + field.name.replace('_', '-')


def takes_options(options: Callable[P, O]) -> Callable[[Callable[[O], R]], TakesOptions[O, P, R]]:
    """Let a function that takes an options object also be called with the options themselves, with their types."""

    def decorate(function: Callable[[Any], R]) -> TakesOptions[O, P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            given = len(args) == 1 and not kwargs and isinstance(args[0], options)  # type: ignore[arg-type]  # a class
            return function(args[0] if given else options(*args, **kwargs))

        return cast(TakesOptions[O, P, R], call)

    return decorate


# Options class of the running command, and its command-line arguments.
_command: ContextVar[tuple[type, Sequence[str]] | None] = ContextVar('_command', default=None)


@contextmanager
def speaking_flags(options: type, typed: Sequence[str] = ()) -> Iterator[None]:
    """Make :func:`in_words` use a command's flags; the command line runs each command in this context."""
    before = _command.set((options, typed))
    try:
        yield
    finally:
        _command.reset(before)


def in_words(message: str) -> str:
    """A message for the user: with Python's arguments, or with flags if it runs on the command line."""
    command = _command.get()
    return message if command is None else in_flags(message, *command)


def in_flags(message: str, options: type, typed: Sequence[str] = ()) -> str:
    """Translate the Python arguments in an error message to command-line flags.

    ``epochs=-1`` becomes ``--epochs -1``, ``epochs`` in backticks ``--epochs``, and ``amp=True`` becomes ``--amp``. A
    positional argument has no flag: ``source=fish`` becomes ``fish``. Parts of a path, of another name, of a call or of
    the ``typed`` arguments stay unchanged.
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
        flag,
        message,
    )
