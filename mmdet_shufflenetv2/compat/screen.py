"""Terminal output of a command: this package's messages, warnings and results. Other output goes to the log file."""

from __future__ import annotations

import inspect
import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from mmengine.logging import MMLogger
from tqdm import tqdm

from .patches import replaced

__all__ = ['Screen', 'quiet_screen']

_PACKAGE = str(Path(__file__).parents[1])
_LOGGING = (logging.__file__, inspect.getfile(MMLogger), __file__)
# Start of warnings of MMEngine and MMDetection that are harmless, or that this package reports itself.
_USUAL = (
    'The prefix is not set in metric class',
    'Failed to search registry with scope',
    '"FileClient" will be',
    '"HardDiskBackend" is the alias',
    'Since `metrics` is an empty dict',
    'The testing results of the whole',
    'Advance dataloader',
    'Reach the end of the dataloader',
    'Please make sure that the mlflow server',
)


@contextmanager
def quiet_screen(results: tuple[str, ...] = ()) -> Iterator[Screen]:
    """Show only the output and logs of this package, and warnings in MMEngine's log.

    Output and logs of other packages, and Python's warnings, are written to the log file. They are kept until there is
    one.

    Args:
        results: Prefixes of lines of other packages that are also shown.
    """
    screen = Screen(sys.stdout, results)
    with (
        replaced('sys.stdout', sys, screen),
        replaced('MMLogger.callHandlers', MMLogger, screen.handle),
        replaced('warnings.showwarning', warnings, screen.warn),
    ):
        yield screen


class Screen(io.TextIOBase):
    """Replaces a stream, MMEngine's log handlers and the display of Python's warnings; see :func:`quiet_screen`."""

    def __init__(self, stream: TextIO, results: tuple[str, ...]) -> None:
        self.stream, self.results = stream, results
        self.line = ''
        self.waiting: list[logging.LogRecord] = []

    def show(self, text: str) -> None:
        """Print lines above the progress bar, if there is one."""
        with suppress(BrokenPipeError):  # the reader closed the pipe; the log file is complete
            tqdm.write(text, file=self.stream)
            self.stream.flush()

    def write(self, text: str) -> int:
        """As in :class:`io.TextIOBase`."""
        if _origin(inspect.currentframe()).startswith(_PACKAGE):
            self.stream.write(text)
            return len(text)
        *lines, self.line = (self.line + text).split('\n')
        for line in filter(str.strip, lines):
            if line.startswith(self.results or ('\0',)):
                self.show(line)
            self._log(line)
        return len(text)

    def flush(self) -> None:
        """As in :class:`io.TextIOBase`."""
        self.stream.flush()

    def fileno(self) -> int:
        """As in :class:`io.TextIOBase`."""
        return self.stream.fileno()

    def isatty(self) -> bool:
        """As in :class:`io.TextIOBase`."""
        return self.stream.isatty()

    def handle(self, record: logging.LogRecord) -> None:
        """Replaces a logger's ``callHandlers``."""
        message = record.getMessage()
        is_warning = record.levelno >= logging.WARNING and not message.startswith(_USUAL)
        if not _is_wanted(record):
            pass
        elif is_warning or _origin(inspect.currentframe()).startswith(_PACKAGE):
            self.show(f'{record.levelname.lower()}: {message}' if is_warning else message)
        elif message.startswith(self.results or ('\0',)):
            self.show(message.strip('\n'))
        self._to_file(record)

    def warn(self, message: Warning | str, category: type[Warning], filename: str, lineno: int, *more: Any) -> None:
        """Replaces ``warnings.showwarning``."""
        self._log(warnings.formatwarning(message, category, filename, lineno).strip(), logging.WARNING)

    def _log(self, text: str, level: int = logging.INFO) -> None:
        self._to_file(logging.LogRecord('screen', level, '', 0, text, None, None))

    def _to_file(self, record: logging.LogRecord) -> None:
        self.waiting.append(record)
        files = [handler for handler in MMLogger.get_current_instance().handlers if _is_file(handler)]
        for each in self.waiting if files else ():
            for handler in files:
                if each.levelno >= handler.level:
                    handler.handle(each)
        if files:
            self.waiting.clear()


def _origin(frame: FrameType | None) -> str:
    """The file of the first caller outside of logging and MMEngine's ``print_log``."""
    while frame and frame.f_code.co_filename in _LOGGING:
        frame = frame.f_back
    return frame.f_code.co_filename if frame else ''


def _is_file(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.FileHandler)


def _is_wanted(record: logging.LogRecord) -> bool:
    """Whether MMEngine would show it: all processes but the first show only errors."""
    return any(
        record.levelno >= handler.level for handler in MMLogger.get_current_instance().handlers if not _is_file(handler)
    )
