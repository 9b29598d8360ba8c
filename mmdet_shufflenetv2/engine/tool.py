"""How a tool ends: a user's mistake is a line or two and exit status 2, Ctrl-C a line and 130, all else a traceback."""

from __future__ import annotations

import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import StoppedError, UserError

__all__ = ['registry_errors', 'run_tool']

# MMEngine's registry puts this in front of an error that a class raised while it was built, once a level.
_BUILT_FROM = re.compile(r'^(class `\w+` in [\w/.]+: )+')
# PyTorch wraps what a data loader's worker raised in its traceback; the message itself follows the type's name.
_FROM_WORKER = re.compile(r'^Caught \w+ in DataLoader worker.*\berrors\.\w+: ', re.DOTALL)


def run_tool(main: Callable[[], None]) -> None:
    """Run a tool's ``main`` and leave the process as described above."""
    try:
        main()
    except UserError as error:
        message = _BUILT_FROM.sub('', _FROM_WORKER.sub('', str(error))).strip()
        print(f'error: {message}', file=sys.stderr)
        sys.exit(2)
    except StoppedError as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.status)
    except KeyboardInterrupt:
        print('Stopped.', file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


@contextmanager
def registry_errors() -> Iterator[None]:
    """Turn MMEngine's "X is not in the registry" and "unexpected argument" into a :class:`UserError`."""
    try:
        yield
    except KeyError as error:
        message = str(error.args[0]) if error.args else ''
        if 'registry' not in message:
            raise
        raise UserError(f'The config names something that nothing has registered: {_first_sentence(message)}. Check '
                        f'the spelling, or import its module with custom_imports.') from error
    except TypeError as error:
        # Arguments that a class does not take fail in the registry's own call; any other TypeError is a bug and keeps
        # its traceback.
        if not traceback.extract_tb(error.__traceback__)[-1].filename.endswith('build_functions.py'):
            raise
        raise UserError(f'The config does not fit: {_BUILT_FROM.sub("", str(error))}') from error


def _first_sentence(message: str) -> str:
    return message.split('. ')[0].strip()
