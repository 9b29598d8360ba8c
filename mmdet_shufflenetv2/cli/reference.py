"""The page of all commands and options: ``python -m mmdet_shufflenetv2.cli.reference > docs/commands.md``."""

from __future__ import annotations

import argparse
import textwrap

from .commands import GROUPS, Command
from .parser import describe, make_parser

__all__ = ['reference']

_HEAD = """# Commands and options

`snv2 COMMAND` runs each of these, `snv2 COMMAND --help` prints the same options. `python -m mmdet_shufflenetv2 COMMAND`
is `snv2 COMMAND`, and each file of `tools/` is one of the commands. Where a Python function is named, it takes the same
options as arguments.

*Written by `python -m mmdet_shufflenetv2.cli.reference > docs/commands.md`; not edited by hand.*
"""


def reference() -> str:
    """All commands with their examples and options, in Markdown."""
    parts = [_HEAD]
    for group, commands in GROUPS.items():
        parts += [f'## {group}\n', *(_section(name, command) for name, command in commands.items())]
    return '\n'.join(parts)


def _section(name: str, command: Command) -> str:
    parser = make_parser(command.options, f'snv2 {name}')
    parts = [f'### snv2 {name}\n']
    for paragraph in describe(command.options).split('\n\n'):
        example = paragraph.startswith('    ')
        parts.append(f'```bash\n{textwrap.dedent(paragraph)}\n```\n' if example else f'{paragraph}\n')
    if command.function:
        parts.append(f'In Python: `mmdet_shufflenetv2.{command.function}`\n')
    options = [action for action in parser._actions if action.help != argparse.SUPPRESS and action.dest != 'help']
    if options:
        rows = [_row(action, bool(command.function)) for action in options]
        head = ['option', *['Python'] * bool(command.function), 'meaning']
        parts.append('\n'.join(f'| {" | ".join(cells)} |' for cells in [head, ['---'] * len(head), *rows]) + '\n')
    return '\n'.join(parts)


def _row(action: argparse.Action, in_python: bool) -> list[str]:
    """An option, its name in Python and what it does."""
    # The usage line of argparse has the values as they are typed.
    usage = argparse.HelpFormatter('', width=1000)
    usage.add_usage(None, [action], [], prefix='')
    typed = usage.format_help().strip()
    if action.option_strings:
        typed = typed.removeprefix('[').removesuffix(']')
    python = [f'`{action.dest}`' if action.dest != 'no_python_config' else ''] if in_python else []
    return [f'`{typed}`'.replace('|', '\\|'), *python, (action.help or '').replace('|', '\\|')]


if __name__ == '__main__':
    print(reference(), end='')
