"""Make the random sampling of boxes independent of the process that an image is assigned to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mmdet.models.task_modules.samplers import BaseSampler
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from ...compat.patches import replace
from .epoch import ResumableEpochLoop
from .randomness import derive_seed, seeded

__all__ = ['ImageDraws', 'ImageDrawsHook']


class ImageDraws:
    """The method ``sample`` of a box sampler, seeded for each image of a step.

    Heads call it once per image in the order of the batch, and :class:`.ResumableBatchSampler` splits a batch over the
    processes in turn. So the number of the call gives the index of the image in the batch of all processes.
    """

    def __init__(self, sample: Callable[..., Any], rank: int, world_size: int) -> None:
        self.sample = sample
        self.rank, self.world_size = rank, world_size
        self.begin()

    def begin(self, *step: int) -> None:
        """Begin a step. The numbers identify it."""
        self.step = step
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        index = self.calls * self.world_size + self.rank
        self.calls += 1
        with seeded(derive_seed(*self.step, index)):
            return self.sample(*args, **kwargs)


@HOOKS.register_module()
class ImageDrawsHook(Hook):
    """Makes all box samplers of the model independent of the number of processes."""

    def before_train(self, runner: Runner) -> None:
        self._draws: list[ImageDraws] = []
        if isinstance(runner.train_loop, ResumableEpochLoop):
            for sampler in _samplers(runner.model):
                self._draws.append(ImageDraws(sampler.sample, runner.rank, runner.world_size))
                replace('BaseSampler.sample', sampler, self._draws[-1])

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        for number, draws in enumerate(self._draws, start=1):
            draws.begin(runner.train_loop.batches.sampler.seed, number, runner.iter)


def _samplers(model: nn.Module) -> Iterator[BaseSampler]:
    for module in model.modules():
        for value in vars(module).values():
            # A cascade has a list with one sampler per stage.
            yield from (
                each for each in (value if isinstance(value, list) else [value]) if isinstance(each, BaseSampler)
            )
