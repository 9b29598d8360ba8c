"""The loss on the images of an evaluation, beside its metrics: where it rises, a detector overfits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..compat.patches import replaced
from ..data.loss_targets import LOSS_TARGETS
from ..models.unwrap import unwrap_model
from .fault_tolerance.randomness import seeded

__all__ = ['ValidationLossHook']


@HOOKS.register_module()
class ValidationLossHook(Hook):
    """Adds ``val_loss``, and its parts such as ``val_loss_cls``, to the metrics of each evaluation of a training.

    It is the mean over the batches of the evaluation, weighted by their images, of what training calls ``loss``; norms
    are in eval mode. Nothing else changes: there are no gradients, and random numbers go on as they would without.
    Where a detector cannot compute it, the log says so once and has no such loss.
    """

    priority = 'HIGHEST'  # before the hook that notes the metrics

    def __init__(self) -> None:
        self.is_possible = True

    def before_val_epoch(self, runner: Runner) -> None:
        self._sums: Counter[str] = Counter()
        self._images = 0

    def before_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Take the objects out of what is evaluated."""
        samples = data_batch['data_samples'] if isinstance(data_batch, dict) else []
        self._targets = [sample.pop(LOSS_TARGETS) for sample in samples if LOSS_TARGETS in sample]

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if not self.is_possible:
            return
        try:
            losses = self._losses(runner, batch_idx, data_batch)
        except Exception as error:  # whatever a detector that was not made for this raises: no reason not to train it
            self.is_possible = False
            runner.logger.info(f'No validation loss: {type(runner.model).__name__} cannot compute it in eval mode '
                               f'({type(error).__name__}: {error}).')
            return
        self._images += len(self._targets)
        for name, value in losses.items():
            self._sums[name] += value * len(self._targets)

    @torch.no_grad()
    def _losses(self, runner: Runner, batch_idx: int, data_batch: dict[str, Any]) -> dict[str, float]:
        """Of a batch of the evaluation, by name."""
        if len(self._targets) != len(data_batch['inputs']):
            raise ValueError('the pipeline of val_dataloader is not one of MMDetection')
        model = unwrap_model(runner.model)
        for target, sample in zip(self._targets, data_batch['data_samples']):
            target.set_metainfo(sample.metainfo)
        batch = model.data_preprocessor(dict(inputs=data_batch['inputs'], data_samples=self._targets), False)
        with _alone(), _generators_kept(batch_idx):
            _, values = model.parse_losses(model(**batch, mode='loss'))
        return {f'val_{name}': float(value) for name, value in values.items() if 'loss' in name}

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        parts = all_gather_object((self.is_possible, self._images, self._sums))
        images = sum(part[1] for part in parts)
        if not images or not all(part[0] for part in parts):
            return
        losses = {name: sum(part[2][name] for part in parts) / images for name in parts[0][2]}
        if metrics:  # else nothing was found, and what looks for a metric must not find another
            metrics.update(losses)
            return
        for name, value in losses.items():
            runner.message_hub.update_scalar(f'val/{name}', value)


@contextmanager
def _alone() -> Iterator[None]:
    """Within it, losses wait for no other process."""
    with replaced('torch.distributed.is_initialized', torch.distributed, lambda: False):
        yield


@contextmanager
def _generators_kept(seed: int) -> Iterator[None]:
    """Within it, the generators start from ``seed``; afterwards they are as they were."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with seeded(seed), torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield
