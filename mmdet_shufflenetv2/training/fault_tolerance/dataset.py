"""A data set whose images come out the same whoever loads them, and that survives one that cannot be loaded."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmdet.registry import DATASETS

from ...utils.errors import BrokenImageError
from .broken_images import report_broken
from .randomness import seeded
from .sampling import SeededIndex

__all__ = ['FaultTolerantDataset']

# A data set with more broken images in a row than that is refused by the check before the run.
_TRIES = 20


@DATASETS.register_module(name=['FaultTolerantDataset', 'DurableDataset'])  # the second in configs of 0.1
class FaultTolerantDataset:
    """Wraps a data set; every attribute but these is the wrapped one's, for reading and for writing.

    An index that comes with a seed (:class:`.SeededIndex`) has its image augmented from that seed. Another image,
    likewise decided by the seed, takes the place of a broken one.

    Args:
        dataset: The data set or its config.
        broken_list: File that broken images are reported to.
    """

    _OWN = ('dataset', 'broken_list')

    def __init__(self, dataset: Any, broken_list: str) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.broken_list = broken_list

    def __getattr__(self, name: str) -> Any:
        if name in self._OWN or name.startswith('__'):  # not set yet, while a copy is being made
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        # Hooks that change the augmentation late in a run set the data set's pipeline.
        if name in self._OWN:
            super().__setattr__(name, value)
        else:
            setattr(self.dataset, name, value)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        if not isinstance(index, SeededIndex):
            return self.dataset[index]
        with seeded(index.seed):
            return self._load(int(index))

    def _load(self, index: int) -> Any:
        for _ in range(_TRIES):
            try:
                return self.dataset[index]
            except BrokenImageError as error:
                last = error
                report_broken(self.broken_list, str(error))
                index = int(np.random.randint(len(self)))
        raise last
