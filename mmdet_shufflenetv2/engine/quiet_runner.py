"""A runner whose first screen is one."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import Runner

__all__ = ['QuietRunner']

# How the hundreds of lines begin that MMEngine's runner writes before it does anything.
_FOR_THE_FILE = ('Config:', 'Distributed training is not used', 'Hooks will be executed', '-' * 20)


class QuietRunner(Runner):
    """MMEngine's runner. The machine, the whole config and the list of hooks go to the log file, not to the screen."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """As MMEngine's."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(_is_for_the_screen)
        return logger


def _is_for_the_screen(record: logging.LogRecord) -> bool:
    return not record.getMessage().lstrip().startswith(_FOR_THE_FILE)
