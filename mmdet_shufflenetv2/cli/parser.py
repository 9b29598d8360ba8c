"""Build the argument parser of a command from its options dataclass, and parse a command line to such options."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import os
import textwrap
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..utils.errors import UserError
from ..utils.options import flag_of

__all__ = ['describe', 'make_parser', 'parse']


def parse(options: type, argv: list[str], prog: str) -> Any:
    """Parse a command line to options, a dataclass of :func:`..utils.options.option` fields.

    Raises:
        UserError: If an entry of ``--cfg-options`` is malformed. Other errors end the process, as in argparse.
    """
    given = vars(make_parser(options, prog).parse_args(argv))
    if 'local_rank' in given:  # torch.distributed.launch passes it
        os.environ.setdefault('LOCAL_RANK', str(given.pop('local_rank')))
    if given.pop('no_python_config', False):
        os.environ['MMDET_SNV2_NO_PYTHON_CONFIG'] = '1'  # subprocesses inherit it
    defaults = {field.name for field in dataclasses.fields(options) if field.default is not dataclasses.MISSING}
    return options(**{name: value for name, value in given.items() if value is not None or name not in defaults})


def make_parser(options: type, prog: str) -> _Parser:
    """A parser with an argument for each field; the dataclass's docstring is its description."""
    parser = _Parser(prog=prog, description=describe(options), formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        _add(parser, field, kinds[field.name])
    if 'launcher' in kinds:
        parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    if 'config' in kinds or 'configs' in kinds:
        parser.add_argument(
            '--no-python-config',
            action='store_true',
            help=('for untrusted configs: accept only JSON and YAML, and refuse entries that could run code'),
        )
    return parser


def describe(options: type) -> str:
    """The description of a command: the docstring of its options. Python 3.13 removes the indentation of its examples,
    which is restored here."""
    paragraphs = map(textwrap.dedent, inspect.cleandoc(options.__doc__ or '').split('\n\n'))
    return '\n\n'.join(textwrap.indent(part, '    ') if part.startswith('snv2 ') else part for part in paragraphs)


def _add(parser: argparse.ArgumentParser, field: dataclasses.Field[Any], kind: Any) -> None:
    extra = dict(field.metadata)
    extra.pop('flag', None)
    positional = extra.pop('positional', False)
    optional = field.default is not dataclasses.MISSING
    extra = {name: value for name, value in extra.items() if value is not None}
    inner = [part for part in typing.get_args(kind) if part is not type(None)]
    if isinstance(kind, types.UnionType):
        kind, inner = inner[0], list(typing.get_args(inner[0]))
    if kind is bool:
        extra['action'] = 'store_true'
    elif typing.get_origin(kind) is dict:
        extra |= dict(nargs='+', action=_Entries)
    elif extra.get('action') == 'append':
        if typing.get_origin(inner[0]) is tuple:  # several values each time
            extra |= dict(nargs=len(typing.get_args(inner[0])), type=typing.get_args(inner[0])[0])
    elif typing.get_origin(kind) in (tuple, list, Sequence):
        pair = len(inner) == 2 and Ellipsis not in inner
        extra.setdefault('nargs', 2 if pair else ('*' if positional and optional else '+'))
        extra['type'] = inner[0] if inner[0] in (int, float, Path) else str
    elif kind in (int, float, Path):
        extra.setdefault('type', kind)
    if positional:
        if optional:
            extra |= dict(default=field.default)
            extra.setdefault('nargs', '?')
        parser.add_argument(field.name, **extra)
    else:
        # A repeated flag replaces the default; argparse would append to it.
        default = None if extra.get('action') == 'append' else field.default
        parser.add_argument(flag_of(field), dest=field.name, default=default, **extra)


class _Entries(argparse.Action):
    """Parse ``KEY=VALUE ...`` to a dict as MMEngine does. Its assertion errors become user errors."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        entries = dict(getattr(namespace, self.dest) or {})
        for text in values:
            key, equals, value = text.partition('=')
            try:
                if not equals:
                    raise ValueError(text)
                entries[key] = _value(value)
            except (ValueError, AssertionError) as error:
                what = 'unbalanced brackets' if equals else 'no ='
                raise UserError(
                    f'{option_string} {text} has {what}. Expected KEY=VALUE, such as train_cfg.max_epochs=24.'
                ) from error
        setattr(namespace, self.dest, entries)


def _value(text: str) -> Any:
    """Parse a value as MMEngine does, but keep spaces in quoted names, which MMEngine removes."""
    from mmengine.config import DictAction  # importing it takes a second, too long for --help

    try:
        quoted = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        quoted = None
    if isinstance(quoted, (list, tuple)) and text[0] in '[(':  # without brackets MMEngine reads a list
        return quoted
    values = argparse.Namespace()
    DictAction(['--entry'], 'values')(argparse.ArgumentParser(), values, [f'value={text}'])
    return values.values['value']


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line, like every other part of a command."""

    def add_argument(self, *args: Any, **kwargs: Any) -> argparse.Action:
        action = super().add_argument(*args, **kwargs)
        self.added = [*getattr(self, 'added', []), action]  # in order, for docs/commands.md
        return action

    def error(self, message: str) -> NoReturn:
        self.exit(2, f'error: {message}. {self.prog} --help lists the options.\n')
