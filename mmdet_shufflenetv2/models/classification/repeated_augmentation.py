"""Several views of an image in one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sized

import torch
from mmdet.registry import DATA_SAMPLERS
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

__all__ = ['RepeatedAugmentationSampler']


@DATA_SAMPLERS.register_module()
class RepeatedAugmentationSampler(Sampler[int]):
    """Each image several times in a row, augmented anew each time, each view for another process.

    Repeated augmentation (Hoffer et al., CVPR 2020), as torchvision's training reference has it: an epoch is as long as
    without, so it shows every ``repeats``-th image only.

    Args:
        dataset: What to sample from.
        repeats: Views of an image.
        seed: Seed of the order, the same in all processes; None for a random one.
    """

    def __init__(self, dataset: Sized, repeats: int, seed: int | None = None) -> None:
        self.dataset = dataset
        self.repeats = repeats
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(len(self.dataset), generator=generator).repeat_interleave(self.repeats)
        yield from order[self.rank::self.world_size][:len(self)].tolist()

    def __len__(self) -> int:
        return len(self.dataset) // self.world_size

    def set_epoch(self, epoch: int) -> None:
        """Shuffle anew."""
        self.epoch = epoch
