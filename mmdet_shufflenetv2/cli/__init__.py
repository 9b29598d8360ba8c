"""The command line ``snv2``: one sub-command for each thing that the package does.

Here are parsers, printed lines and exit statuses. What is done lies in the rooms below; errors arrive in Python's words
and are translated to flags in :func:`main` alone.
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
    """Run ``snv2`` with ``argv``, or this process's command line, and exit with its status: 2 after a user's mistake.
    """
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ('-h', '--help'):
        print(_help())
        return
    if argv[0] not in COMMANDS:
        near = difflib.get_close_matches(argv[0], COMMANDS, n=1)
        print(f'error: unknown command: {argv[0]}. {f"Did you mean {near[0]}? " if near else ""}'
              f'snv2 --help lists the commands.', file=sys.stderr)
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
        if not MISSING and find_spec('mmcv'):  # nothing that this package can name
            raise
        hint = "Run 'make install', or pip install -e '.[mmcv-lite]', in the folder of this project."
        print(f'error: {error}\n{hint if "mmcv" not in str(error) else ""}'.strip(), file=sys.stderr)
        sys.exit(2)
    if status:
        sys.exit(status)


def _help() -> str:
    lines = ['usage: snv2 COMMAND ...            snv2 COMMAND --help shows what it takes',
             'ShuffleNet V2 for MMDetection: train, evaluate, use and export light detectors.', '']
    for group, commands in GROUPS.items():
        lines += [f'{group if number == 0 else "":<10}{name:<14}{command.summary}'
                  for number, (name, command) in enumerate(commands.items())]
    return '\n'.join(lines)
