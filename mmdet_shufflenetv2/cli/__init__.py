"""The command line ``snv2``: parsers, printed lines and exit statuses.

Each sub-command calls a function of another room. Errors name Python's arguments; only :func:`main` translates them to
flags.
"""

from __future__ import annotations

import difflib
import os
import sys
from functools import partial
from importlib.util import find_spec

from .. import register
from ..utils.installation import MISSING
from ..utils.options import speaking_flags
from .commands import COMMANDS, GROUPS
from .errors import run_command
from .parser import parse

__all__ = ['main']


def main(argv: list[str] | None = None) -> None:
    """Run ``snv2`` with ``argv``, by default ``sys.argv[1:]``. The process exits with status 2 after a user error."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ('-h', '--help'):
        print(_help())
        return
    if argv[0] not in COMMANDS:
        near = difflib.get_close_matches(argv[0], COMMANDS, n=1)
        print(
            f'error: unknown command: {argv[0]}. {f"Did you mean {near[0]}? " if near else ""}'
            f'snv2 --help lists the commands.',
            file=sys.stderr,
        )
        sys.exit(2)
    command = COMMANDS[argv[0]]
    with speaking_flags(command.options, argv[1:]):
        run_command(partial(_run, argv))


def _run(argv: list[str]) -> None:
    command = COMMANDS[argv[0]]
    options = parse(command.options, argv[1:], f'snv2 {argv[0]}')
    os.environ.update(command.environment)
    try:
        register()
        status = command.run(options)
    except ImportError as error:
        if not MISSING and find_spec('mmcv'):  # not a missing dependency
            raise
        hint = "Run 'make install' or pip install -e '.[mmcv-lite]' in the folder of this project."
        print(f'error: {error}\n{hint if "mmcv" not in str(error) else ""}'.strip(), file=sys.stderr)
        sys.exit(2)
    if status:
        sys.exit(status)


def _help() -> str:
    lines = [
        'usage: snv2 COMMAND ...            snv2 COMMAND --help lists its options',
        'ShuffleNet V2 for MMDetection: train, evaluate, use and export light detectors.',
        '',
    ]
    for group, commands in GROUPS.items():
        lines += [
            f'{group if number == 0 else "":<10}{name:<14}{command.summary}'
            for number, (name, command) in enumerate(commands.items())
        ]
    return '\n'.join(lines)
