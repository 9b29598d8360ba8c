"""Epochs that can be resumed at any batch: sampling with a seed per image, and the training loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmdet.registry import DATA_SAMPLERS, LOOPS
from mmengine.dataset import DefaultSampler
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import BatchSampler, Sampler

from .randomness import derive_seed

__all__ = ['ResumableBatchSampler', 'ResumableEpochLoop', 'SeededIndex', 'SeededSampler']


class SeededIndex(int):
    """The index of an image, with the seed of its augmentation."""

    seed: int

    def __new__(cls, index: int, seed: int) -> SeededIndex:
        made = super().__new__(cls, index)
        made.seed = seed
        return made

    # Indices are sent to data loader workers.
    def __getnewargs__(self) -> tuple[int, int]:  # type: ignore[override]  # int has no second argument
        return int(self), self.seed


class SeededSampler(Sampler[SeededIndex]):
    """The indices of another sampler, each with a seed that depends on the epoch and the position in the epoch.

    The position is counted over all processes. MMEngine's samplers distribute one order over the processes in turn, so
    the seed of an image does not depend on their number.
    """

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler
        self.dataset = getattr(sampler, 'dataset', None)  # used by MMDetection's batch samplers
        self.rank, self.world_size = getattr(sampler, 'rank', 0), getattr(sampler, 'world_size', 1)
        self.epoch = 0

    @property
    def seed(self) -> int:
        """Seed of the order and of the augmentation."""
        return getattr(self.sampler, 'seed', None) or 0

    @seed.setter
    def seed(self, seed: int) -> None:
        self.sampler.seed = seed

    def __iter__(self) -> Iterator[SeededIndex]:
        for position, index in enumerate(self.sampler):
            yield SeededIndex(index, derive_seed(self.seed, self.epoch, position * self.world_size + self.rank))

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Change the order. MMEngine calls this before each epoch."""
        self.epoch = epoch
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)


@DATA_SAMPLERS.register_module()
class ResumableBatchSampler(Sampler[list[SeededIndex]]):
    """Batches of another batch sampler. The first ``skip`` batches of the next epoch are skipped, without loading.

    Several processes split each batch of the run, so together they process the same batches as a single process with
    the total batch size. (In MMEngine, the processes split the images, and each groups its own by aspect ratio.) This
    needs MMEngine's ``DefaultSampler``. Other samplers split the images as usual.

    Args:
        sampler: The sampler that determines the order.
        batch_size: Batch size of each process.
        batches: Config of the batch sampler, such as ``dict(type='AspectRatioBatchSampler')``; None for PyTorch's.
        drop_last: Whether to drop an incomplete last batch; only for PyTorch's batch sampler.
    """

    def __init__(
        self, sampler: Any, batch_size: int, batches: dict[str, Any] | None = None, drop_last: bool = False
    ) -> None:
        self.rank, self.world_size = 0, 1
        if type(sampler) is DefaultSampler and sampler.world_size > 1:
            self.rank, self.world_size = sampler.rank, sampler.world_size
            sampler.rank, sampler.world_size = 0, 1
            sampler.num_samples = sampler.total_size = len(sampler.dataset)
        self.sampler = SeededSampler(sampler)
        self.batch_size = batch_size
        batch_size *= self.world_size
        self.batches = (
            BatchSampler(self.sampler, batch_size, drop_last)
            if batches is None
            else DATA_SAMPLERS.build(batches, default_args=dict(sampler=self.sampler, batch_size=batch_size))
        )
        self.skip = 0

    def __iter__(self) -> Iterator[list[SeededIndex]]:
        skip, self.skip = self.skip, 0
        for number, batch in enumerate(self.batches):
            if number >= skip:
                # If the last batch has fewer images than processes, some images are used twice.
                yield (batch * self.world_size if len(batch) < self.world_size else batch)[self.rank :: self.world_size]

    def __len__(self) -> int:
        return len(self.batches)


@LOOPS.register_module()
class ResumableEpochLoop(EpochBasedTrainLoop):
    """MMEngine's epoch-based loop, which also counts the finished batches of the current epoch.

    The data loader's batch sampler must be a :class:`.ResumableBatchSampler`.
    """

    batches: ResumableBatchSampler
    #: Finished batches of the current epoch; 0 between epochs.
    batches_done = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.batches = self.dataloader.batch_sampler

    def resume(self, batches_done: int, batches: int) -> None:
        """Skip the first batches of the next epoch.

        Args:
            batches_done: Finished batches of the epoch in the resumed run.
            batches: Number of batches per epoch in the resumed run. If it differs now (another batch size or number of
                processes), the batches are not the same, and the epoch starts from the beginning.
        """
        if batches_done and batches != len(self.dataloader):
            print_log(
                f'The checkpoint was saved with {batches} batches per epoch, now there are '
                f'{len(self.dataloader)}: the unfinished epoch {self._epoch + 1} starts from the beginning.',
                'current',
            )
            batches_done = 0
        self.batches_done = batches_done

    def run_epoch(self) -> None:
        """Run the remaining batches of the epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        self.batches.skip = self.batches_done
        for number, batch in enumerate(self.dataloader, start=self.batches_done):
            self.batches_done = number + 1
            self.run_iter(number, batch)
        self.batches_done = 0
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
