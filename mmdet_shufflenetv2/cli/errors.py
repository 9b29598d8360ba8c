"""How a command ends: a user's mistake is a line or two and exit status 2, Ctrl-C a line and 130, a reader that has
enough (``| head``) silence and 141, all else a traceback.

A file that the system refuses is a mistake, too: whatever was to be read or written, its name came from a user.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
from collections.abc import Callable
from typing import TextIO

from ..utils.errors import StoppedError, UserError
from ..utils.options import in_words

__all__ = ['run_command']

# MMEngine's registry puts this in front of an error that a class raised while it was built, once a level.
_BUILT_FROM = re.compile(r'^(class `\w+` in [\w/.]+: )+')
# PyTorch wraps what a data loader's worker raised in its traceback; the message itself follows the type's name.
_FROM_WORKER = re.compile(r'^Caught \w+ in DataLoader worker.*\berrors\.\w+: ', re.DOTALL)


def run_command(main: Callable[[], None]) -> None:
    """Run what a command does and leave the process as described above."""
    try:
        try:
            _run(main)
        finally:
            sys.stdout.flush()  # else Python finds out at its very end
    except BrokenPipeError:
        if not any([_is_closed(sys.stdout), _is_closed(sys.stderr)]):
            raise
        sys.exit(128 + signal.SIGPIPE)


def _is_closed(stream: TextIO) -> bool:
    """Whether nobody reads a stream any more; what it still holds then goes nowhere."""
    try:
        number = stream.fileno()
    except OSError:  # not a file
        return False
    poll = select.poll()
    poll.register(number, 0)
    if not poll.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return True


def _run(main: Callable[[], None]) -> None:
    try:
        main()
    except BrokenPipeError:
        raise
    except UserError as error:
        message = _BUILT_FROM.sub('', _FROM_WORKER.sub('', str(error))).strip()
        print(f'error: {in_words(message)}', file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.filename is None:  # nothing that could be named otherwise
            raise
        print(f'error: {error.filename} cannot be read or written: {error.strerror or error}. Name another place, or '
              f'make this one accessible.', file=sys.stderr)
        sys.exit(2)
    except StoppedError as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.status)
    except KeyboardInterrupt:
        print('Stopped.', file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
