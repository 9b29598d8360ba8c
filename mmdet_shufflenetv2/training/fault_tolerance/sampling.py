"""The order of an epoch, with a seed for each of its images, entered at any batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmdet.registry import DATA_SAMPLERS
from mmengine.dataset import DefaultSampler
from torch.utils.data import BatchSampler, Sampler

from .randomness import derive_seed

__all__ = ['ResumableBatchSampler', 'SeededIndex', 'SeededSampler']


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

    Args:
        sampler: The sampler that decides on the order.
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
