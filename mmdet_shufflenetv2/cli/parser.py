"""From a command's options, a dataclass, to its parser, and from what was typed to the options."""

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
    """The options, a dataclass of :func:`..utils.options.option` fields, that a command line asks for.

    Raises:
        UserError: If an entry of ``--cfg-options`` is malformed; other mistakes end the process as argparse does.
    """
    given = vars(make_parser(options, prog).parse_args(argv))
    if 'local_rank' in given:  # torch.distributed.launch passes it
        os.environ.setdefault('LOCAL_RANK', str(given.pop('local_rank')))
    if given.pop('no_python_config', False):
        os.environ['MMDET_SNV2_NO_PYTHON_CONFIG'] = '1'  # for processes that the command starts, too
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
        parser.add_argument('--no-python-config', action='store_true', help=(
            'take a config in JSON or YAML only, and nothing in it that could run code: for configs from strangers'))
    return parser


def describe(options: type) -> str:
    """What a command does: its options' docstring with the examples indented, which Python 3.13 takes away."""
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
        # What is given repeatedly takes the place of the default, which argparse would add to.
        default = None if extra.get('action') == 'append' else field.default
        parser.add_argument(flag_of(field), dest=field.name, default=default, **extra)


class _Entries(argparse.Action):
    """``KEY=VALUE ...`` to a dict, as MMEngine reads it, which has asserts for a user's mistakes."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
                 option_string: str | None = None) -> None:
        entries = dict(getattr(namespace, self.dest) or {})
        for text in values:
            key, equals, value = text.partition('=')
            try:
                if not equals:
                    raise ValueError(text)
                entries[key] = _value(value)
            except (ValueError, AssertionError) as error:
                what = 'brackets that are not balanced' if equals else 'no ='
                raise UserError(f'{option_string} {text} has {what}. Expected KEY=VALUE, such as '
                                f'train_cfg.max_epochs=24.') from error
        setattr(namespace, self.dest, entries)


def _value(text: str) -> Any:
    """A value as MMEngine reads it, but for spaces in quoted names, which it takes out."""
    from mmengine.config import DictAction  # takes a second, which --help has not
    try:
        quoted = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        quoted = None
    if isinstance(quoted, (list, tuple)) and text[0] in '[(':  # without brackets it is a list for MMEngine
        return quoted
    values = argparse.Namespace()
    DictAction(['--entry'], 'values')(argparse.ArgumentParser(), values, [f'value={text}'])
    return values.values['value']


class _Parser(argparse.ArgumentParser):
    """Answers a mistake with a line, as every other part of a command does."""

    def add_argument(self, *args: Any, **kwargs: Any) -> argparse.Action:
        action = super().add_argument(*args, **kwargs)
        self.added = [*getattr(self, 'added', []), action]  # in order, for the page of all options
        return action

    def error(self, message: str) -> NoReturn:
        self.exit(2, f'error: {message}. {self.prog} --help lists the options.\n')
