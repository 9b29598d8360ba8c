"""What a command shows: this package's own messages, warnings and results. What others say goes to the log file."""

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
# Warnings that MMEngine and MMDetection give in sound runs, or that a line here tells, too.
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
    """Within it, the screen shows what this package prints and logs, and warnings of MMEngine's log.

    What others print and log, and warnings of Python, are lines of the log file. What comes before there is one waits
    for it.

    Args:
        results: How lines of others begin that are shown, too.
    """
    screen = Screen(sys.stdout, results)
    with (
        replaced('sys.stdout', sys, screen),
        replaced('MMLogger.callHandlers', MMLogger, screen.handle),
        replaced('warnings.showwarning', warnings, screen.warn),
    ):
        yield screen


class Screen(io.TextIOBase):
    """Takes the place of a stream, of MMEngine's handlers and of Python's warnings; see :func:`quiet_screen`."""

    def __init__(self, stream: TextIO, results: tuple[str, ...]) -> None:
        self.stream, self.results = stream, results
        self.line = ''
        self.waiting: list[logging.LogRecord] = []

    def show(self, text: str) -> None:
        """Show lines, above a bar that may be there."""
        with suppress(BrokenPipeError):  # whoever read has enough; the log file has it all
            tqdm.write(text, file=self.stream)
            self.stream.flush()

    def write(self, text: str) -> int:
        """As a stream."""
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
        """As a stream."""
        self.stream.flush()

    def fileno(self) -> int:
        """As a stream."""
        return self.stream.fileno()

    def isatty(self) -> bool:
        """As a stream."""
        return self.stream.isatty()

    def handle(self, record: logging.LogRecord) -> None:
        """In place of a logger's ``callHandlers``."""
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
        """In place of ``warnings.showwarning``."""
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
    """File that a message is from: not a logger's, nor MMEngine's ``print_log``'s."""
    while frame and frame.f_code.co_filename in _LOGGING:
        frame = frame.f_back
    return frame.f_code.co_filename if frame else ''


def _is_file(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.FileHandler)


def _is_wanted(record: logging.LogRecord) -> bool:
    """Whether MMEngine would show it: of other processes than the first, errors alone."""
    return any(
        record.levelno >= handler.level for handler in MMLogger.get_current_instance().handlers if not _is_file(handler)
    )
