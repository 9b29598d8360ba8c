"""``patience``: end a run whose score no longer improves."""

from __future__ import annotations

import re

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner

__all__ = ['PatienceHook']


@HOOKS.register_module()
class PatienceHook(Hook):
    """Ends a run after ``patience`` evaluations without a better score.

    The best score is that of the checkpoint hook, ``best.pth``. The name of the best checkpoint tells its epoch and is
    saved in every checkpoint, so the count survives a resume. MMEngine's ``EarlyStoppingHook`` loses its count.

    Args:
        patience: Number of evaluations without a better score.
    """

    priority = 'LOWEST'  # after the checkpoint hook

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def before_train(self, runner: Runner) -> None:
        """A resumed run may have ended already."""
        self._end_if_due(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._end_if_due(runner)

    def _end_if_due(self, runner: Runner) -> None:
        best = re.search(r'_(\d+)\.pth$', str(runner.message_hub.runtime_info.get('best_ckpt')))
        if best is None or runner.val_loop is None:
            return
        loop = runner.train_loop
        by_epoch = isinstance(loop, EpochBasedTrainLoop)
        done = runner.epoch if by_epoch else runner.iter
        waited = -((int(best[1]) - done) // loop.val_interval)  # rounded up, because the last interval can be shorter
        if waited >= self.patience:
            loop.stop_training = True
            runner.logger.info(
                f'No better score in {waited} evaluations: stopping. The best is from '
                f'{"epoch" if by_epoch else "iteration"} {best[1]}. A larger `patience` trains longer.'
            )
