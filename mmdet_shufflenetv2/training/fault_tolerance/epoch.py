"""An epoch that can be entered at any batch: its order, with a seed for each of its images, and the loop over it."""

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
    """The index of an image in its data set, with the seed that it is to be augmented with."""

    seed: int

    def __new__(cls, index: int, seed: int) -> SeededIndex:
        made = super().__new__(cls, index)
        made.seed = seed
        return made

    def __getnewargs__(self) -> tuple[int, int]:  # indices travel to the loader's workers
        return int(self), self.seed


class SeededSampler(Sampler[SeededIndex]):
    """Another sampler's indices, each with a seed that follows from the epoch and the place in its order.

    The place is counted over all processes: MMEngine's samplers deal one order out to them in turn, so an image gets
    the same seed whatever their number.
    """

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self.dataset = getattr(sampler, 'dataset', None)  # MMDetection's batch samplers look images up there
        self.rank, self.world_size = getattr(sampler, 'rank', 0), getattr(sampler, 'world_size', 1)
        self.epoch = 0

    @property
    def seed(self) -> int:
        """Seed of the order, and of all that is drawn for its images."""
        return getattr(self.sampler, 'seed', None) or 0

    @seed.setter
    def seed(self, seed: int) -> None:
        self.sampler.seed = seed

    def __iter__(self) -> Iterator[SeededIndex]:
        for place, index in enumerate(self.sampler):
            yield SeededIndex(index, derive_seed(self.seed, self.epoch, place * self.world_size + self.rank))

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Shuffle anew, as MMEngine asks for before each epoch."""
        self.epoch = epoch
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)


@DATA_SAMPLERS.register_module()
class ResumableBatchSampler(Sampler[list[SeededIndex]]):
    """Batches of another batch sampler; the first ``skip`` of the next pass are left out without reading an image.

    Several processes deal each batch of the whole run out among them, so what they compute on together is what one
    process with a batch of that size would compute on. (MMEngine deals out images, which each process then groups by
    aspect ratio for itself.) That needs its ``DefaultSampler``; others deal out images as they do.

    Args:
        sampler: The sampler that decides on the order.
        batch_size: Images in the batch of a process.
        batches: Config of the batch sampler, such as ``dict(type='AspectRatioBatchSampler')``; None for PyTorch's.
        drop_last: Leave out an incomplete last batch; only for PyTorch's own.
    """

    def __init__(self, sampler: Sampler, batch_size: int, batches: dict[str, Any] | None = None,
                 drop_last: bool = False) -> None:
        self.rank, self.world_size = 0, 1
        if type(sampler) is DefaultSampler and sampler.world_size > 1:
            self.rank, self.world_size = sampler.rank, sampler.world_size
            sampler.rank, sampler.world_size = 0, 1
            sampler.num_samples = sampler.total_size = len(sampler.dataset)
        self.sampler = SeededSampler(sampler)
        self.batch_size = batch_size
        batch_size *= self.world_size
        self.batches = BatchSampler(self.sampler, batch_size, drop_last) if batches is None else DATA_SAMPLERS.build(
            batches, default_args=dict(sampler=self.sampler, batch_size=batch_size))
        self.skip = 0

    def __iter__(self) -> Iterator[list[SeededIndex]]:
        skip, self.skip = self.skip, 0
        for number, batch in enumerate(self.batches):
            if number >= skip:
                # A last batch of fewer images than processes shows some of them twice.
                yield (batch * self.world_size if len(batch) < self.world_size else batch)[self.rank::self.world_size]

    def __len__(self) -> int:
        return len(self.batches)


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
