"""Building the runner of a config, whose first screen is one screen."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..compat.registry_errors import registry_errors

__all__ = ['QuietRunner', 'build_runner']

# How the hundreds of lines begin that MMEngine's runner writes before it does anything.
_FOR_THE_FILE = ('Config:', 'Distributed training is not used', 'Hooks will be executed', '-' * 20)


def build_runner(cfg: Config) -> Runner:
    """The config's runner.

    Raises:
        UserError: If the config names something unknown or with the wrong arguments.
    """
    # Under the one name that MMDetection's configs give it, a second run in a process would get the first run's
    # visualizer and log into its folder; without a name it is the experiment's.
    if 'visualizer' in cfg:
        cfg.visualizer.pop('name', None)
    with registry_errors():
        return RUNNERS.build(cfg) if 'runner_type' in cfg else QuietRunner.from_cfg(cfg)


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
