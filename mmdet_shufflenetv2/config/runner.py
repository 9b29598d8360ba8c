"""Building the runner of a config."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..compat.registry_errors import registry_errors

__all__ = ['build_runner']


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
        return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
