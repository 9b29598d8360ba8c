"""How a tool ends: a user's mistake is a line or two and exit status 2, Ctrl-C a line and 130, a
reader that has enough (``| head``) silence and 141, all else a traceback.

A file that the system refuses is a mistake, too: whatever was to be read or written, its name came from a user.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from ..errors import StoppedError, UserError

__all__ = ['registry_errors', 'run_tool']

# MMEngine's registry puts this in front of an error that a class raised while it was built, once a level.
_BUILT_FROM = re.compile(r'^(class `\w+` in [\w/.]+: )+')
# PyTorch wraps what a data loader's worker raised in its traceback; the message itself follows the type's name.
_FROM_WORKER = re.compile(r'^Caught \w+ in DataLoader worker.*\berrors\.\w+: ', re.DOTALL)


def run_tool(main: Callable[[], None]) -> None:
    """Run a tool's ``main`` and leave the process as described above."""
    try:
        try:
            _run(main)
        finally:
            sys.stdout.flush()  # else Python finds out at its very end
    except BrokenPipeError:
        if not _is_closed(sys.stdout) and not _is_closed(sys.stderr):
            raise
        sys.exit(128 + signal.SIGPIPE)


def _is_closed(stream: TextIO) -> bool:
    """Whether nobody reads a stream any more; what it still holds then goes nowhere."""
    try:
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return True
    return False


def _run(main: Callable[[], None]) -> None:
    try:
        main()
    except BrokenPipeError:
        raise
    except UserError as error:
        message = _BUILT_FROM.sub('', _FROM_WORKER.sub('', str(error))).strip()
        print(f'error: {message}', file=sys.stderr)
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


@contextmanager
def registry_errors() -> Iterator[None]:
    """Turn MMEngine's "X is not in the registry" and "unexpected argument" into a :class:`UserError`.

    So, too, the error of a visualizer backend whose package is not installed.
    """
    try:
        yield
    except KeyError as error:
        message = str(error.args[0]) if error.args else ''
        if 'registry' not in message:
            raise
        raise UserError(f'The config names something that nothing has registered: {_first_sentence(message)}. Check '
                        f'the spelling, or import its module with custom_imports.') from error
    except TypeError as error:
        if not _in_the_registrys_call(error):
            raise
        raise UserError(f'The config does not fit: {_BUILT_FROM.sub("", str(error))}') from error
    except ImportError as error:
        from mmengine.visualization import BaseVisBackend
        owners = [frame.f_locals.get('self') for frame, _ in traceback.walk_tb(error.__traceback__)]
        backend = next((owner for owner in owners if isinstance(owner, BaseVisBackend)), None)
        if backend is None:
            raise
        # MMEngine's message names one package where a backend needs two.
        package = str(getattr(error.__context__, 'name', None) or error.name).split('.')[0]
        raise UserError(f'{type(backend).__name__} needs {package}, which is not installed: pip install {package}. Or '
                        f'leave it out of the vis_backends in the config.') from error


def _in_the_registrys_call(error: TypeError) -> bool:
    """Whether it was the config's arguments that did not fit; any other TypeError is a bug and keeps its traceback.

    They fail in the registry's own call, or where an object that it builds hands them on to a base class.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    built = frames[-1].f_locals.get('self')
    while frames[-1].f_code.co_name == '__init__' and frames[-1].f_locals.get('self') is built:
        frames.pop()
        if not any(str(error).startswith(f'{kind.__qualname__}.__init__()') for kind in type(built).__mro__):
            return False
    return frames[-1].f_code.co_filename.endswith('build_functions.py')


def _first_sentence(message: str) -> str:
    return message.split('. ')[0].strip()
