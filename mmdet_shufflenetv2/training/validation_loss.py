"""Compute the loss on the validation images. If it rises, the detector overfits."""

from __future__ import annotations

from collections import defaultdict
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
    """Adds ``val_loss`` and its parts, such as ``val_loss_cls``, to the metrics of each evaluation during training.

    It is the mean of the training loss over all validation images, with norms in eval mode. It needs no gradients and
    does not change the random numbers of the training. If a detector cannot compute it, this is logged once, and the
    loss is left out.
    """

    priority = 'HIGHEST'  # before the hook that logs the metrics

    def __init__(self) -> None:
        self.is_possible = True

    def before_val_epoch(self, runner: Runner) -> None:
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._images = 0

    def before_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Take the targets out of the data samples."""
        samples = data_batch['data_samples'] if isinstance(data_batch, dict) else []
        self._targets = [sample.pop(LOSS_TARGETS) for sample in samples if LOSS_TARGETS in sample]

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if not self.is_possible:
            return
        try:
            losses = self._losses(runner, batch_idx, data_batch)
        except Exception as error:  # detectors that do not support this can still be trained
            self.is_possible = False
            runner.logger.info(
                f'No validation loss: {type(runner.model).__name__} cannot compute it in eval mode '
                f'({type(error).__name__}: {error}).'
            )
            return
        self._images += len(self._targets)
        for name, value in losses.items():
            self._sums[name] += value * len(self._targets)

    @torch.no_grad()
    def _losses(self, runner: Runner, batch_idx: int, data_batch: dict[str, Any]) -> dict[str, float]:
        """The losses of a validation batch by name."""
        if len(self._targets) != len(data_batch['inputs']):
            raise ValueError('the pipeline of val_dataloader is not supported')
        model: Any = unwrap_model(runner.model)
        for target, sample in zip(self._targets, data_batch['data_samples']):
            target.set_metainfo(sample.metainfo)
        batch = model.data_preprocessor(dict(inputs=data_batch['inputs'], data_samples=self._targets), False)
        with _single_process(), _kept_generators(batch_idx):
            _, values = model.parse_losses(model(**batch, mode='loss'))
        return {f'val_{name}': float(value) for name, value in values.items() if 'loss' in name}

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        parts = all_gather_object((self.is_possible, self._images, self._sums))
        images = sum(part[1] for part in parts)
        if not images or not all(part[0] for part in parts):
            return
        losses = {name: sum(part[2][name] for part in parts) / images for name in parts[0][2]}
        if metrics:  # otherwise there are no detections, and the loss must not be used as the score
            metrics.update(losses)
            return
        for name, value in losses.items():
            runner.message_hub.update_scalar(f'val/{name}', value)


@contextmanager
def _single_process() -> Iterator[None]:
    """Inside the context, losses do not communicate with other processes."""
    with replaced('torch.distributed.is_initialized', torch.distributed, lambda: False):
        yield


@contextmanager
def _kept_generators(seed: int) -> Iterator[None]:
    """Seed the generators inside the context, and restore their states afterwards."""
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # of PyTorch
    devices = [torch.cuda.current_device()] if in_use else []
    with seeded(seed), torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield
