"""How a command ends.

A user error prints one or two lines and exits with status 2. Ctrl-C prints one line and exits with 130. A closed pipe
(``| head``) exits silently with 141. Any other error keeps its traceback.

A file that cannot be opened counts as a user error, because its name came from the user.
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

# MMEngine's registry prepends this to an error that a class raised while it was built, once per level.
_BUILT_FROM = re.compile(r'^(class `\w+` in [\w/.]+: )+')
# PyTorch adds the traceback of a data loader worker to its error. The message follows the name of the type.
_FROM_WORKER = re.compile(r'^Caught \w+ in DataLoader worker.*\berrors\.\w+: ', re.DOTALL)


def run_command(main: Callable[[], None]) -> None:
    """Run ``main`` and exit the process as described above."""
    try:
        try:
            _run(main)
        finally:
            sys.stdout.flush()  # otherwise the closed pipe raises at interpreter exit
    except BrokenPipeError:
        if not any([_is_closed(sys.stdout), _is_closed(sys.stderr)]):
            raise
        sys.exit(128 + signal.SIGPIPE)


def _is_closed(stream: TextIO) -> bool:
    """Whether the reader of a stream has gone. What is still buffered is then discarded."""
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
        if error.filename is None:
            raise
        print(
            f'error: {error.filename} cannot be read or written: {error.strerror or error}. Choose another path or '
            f'fix its permissions.',
            file=sys.stderr,
        )
        sys.exit(2)
    except StoppedError as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.status)
    except KeyboardInterrupt:
        print('Stopped.', file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
