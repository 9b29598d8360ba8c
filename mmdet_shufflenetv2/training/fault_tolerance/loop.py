"""A training loop that can begin in the middle of an epoch."""

from __future__ import annotations

from typing import Any

from mmdet.registry import LOOPS
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop

from .sampling import ResumableBatchSampler

__all__ = ['ResumableEpochLoop']


@LOOPS.register_module()
class ResumableEpochLoop(EpochBasedTrainLoop):
    """MMEngine's loop over epochs, which knows how many batches of the current one are done.

    The data loader's batch sampler must be a :class:`.ResumableBatchSampler`.
    """

    batches: ResumableBatchSampler
    #: Batches of the current epoch that are done, 0 between epochs.
    batches_done = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.batches = self.dataloader.batch_sampler

    def resume(self, batches_done: int, batches: int) -> None:
        """Begin the next epoch behind its first batches.

        Args:
            batches_done: Batches of the epoch that the resumed run had done.
            batches: Batches of an epoch of the resumed run; with another number now (another batch size or number of
                processes) its batches are not ours, and the epoch begins anew.
        """
        if batches_done and batches != len(self.dataloader):
            print_log(f'An epoch had {batches} batches when the checkpoint was saved and has {len(self.dataloader)} '
                      f'now, so the unfinished epoch {self._epoch + 1} begins anew.', 'current')
            batches_done = 0
        self.batches_done = batches_done

    def run_epoch(self) -> None:
        """Run the rest of the epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        self.batches.skip = self.batches_done
        for number, batch in enumerate(self.dataloader, start=self.batches_done):
            self.batches_done = number + 1
            self.run_iter(number, batch)
        self.batches_done = 0
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
