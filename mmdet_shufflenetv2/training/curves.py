"""Training curves that are redrawn at each evaluation."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..visualization.curves import draw_curves

__all__ = ['CurvesHook']


class CurvesHook(Hook):
    """Writes ``curves.png`` and ``class_curves.png`` in the work dir, see :func:`.draw_curves`."""

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw what is logged so far, in the first process."""
        if runner.rank == 0:
            draw_curves(runner.work_dir)
