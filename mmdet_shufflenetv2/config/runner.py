"""Build the runner of a config."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..compat.registry_errors import registry_errors

__all__ = ['build_runner']


def build_runner(cfg: Config) -> Runner:
    """Build the runner of a config.

    Raises:
        UserError: If the config names an unknown class, or passes wrong arguments to one.
    """
    # All of MMDetection's configs use the same visualizer name, so a second run in a process would log into the folder
    # of the first one. Without a name, the visualizer is named after the experiment.
    if 'visualizer' in cfg:
        cfg.visualizer.pop('name', None)
    with registry_errors():
        return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
