"""Samplers of boxes that draw the same for an image in whatever process it lies."""

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
    """A sampler's own method ``sample``, with a seed for each image of a step.

    Heads call it once for each image, in the batch's order, and :class:`.ResumableBatchSampler` deals a batch out in
    turn, so the number of the call tells the image's place in the batch of all processes.
    """

    def __init__(self, sample: Callable[..., Any], rank: int, world_size: int) -> None:
        self.sample = sample
        self.rank, self.world_size = rank, world_size
        self.begin()

    def begin(self, *step: int) -> None:
        """Begin a step, which these numbers tell from any other."""
        self.step = step
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        place = self.calls * self.world_size + self.rank
        self.calls += 1
        with seeded(derive_seed(*self.step, place)):
            return self.sample(*args, **kwargs)


@HOOKS.register_module()
class ImageDrawsHook(Hook):
    """Lets every sampler of boxes in the model draw for an image what any number of processes would."""

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
            # A cascade has a list of them, one for each stage.
            yield from (each for each in (value if isinstance(value, list) else [value])
                        if isinstance(each, BaseSampler))
