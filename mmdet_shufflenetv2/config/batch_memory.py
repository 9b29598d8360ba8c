"""``batch_size=auto``: the largest batch that fits in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from ..data.pipelines import base_dataset, image_size, steps
from ..models.step_memory import images_that_fit
from ..utils.errors import UserError
from .access import require_detector
from .image_size import SIZE_KEYS
from .run_flags import set_run_flags

__all__ = ['fit_batch_to_memory']

_MOST = 1024
_STRIDE = 32


def fit_batch_to_memory(cfg: Config, lr: float | None, most: int | None = None) -> dict[str, str]:
    """Set the batch size to the largest power of two that fits in memory, and scale the learning rate with it.

    Args:
        cfg: Changed in place; its classes and image size are set already.
        lr: Learning rate set by an option, which is not scaled; None to scale the config's.
        most: Largest batch size that makes sense for the number of training images; None for no limit.

    Returns:
        What was chosen and why, by the name of its line on the first screen.

    Raises:
        UserError: If the model is not a detector, if several processes train, or if fewer than two images fit.
    """
    require_detector(cfg, 'batch_size=auto trains on random boxes')
    if cfg.get('launcher', 'none') != 'none' or int(os.environ.get('WORLD_SIZE', 1)) > 1:
        raise UserError(
            'batch_size=auto does not support distributed training: it measures the memory of one process. '
            'Set batch_size to a number.'
        )
    sizes = list(_train_sizes(cfg)) or [image_size(cfg) or (1333, 800)]
    width, height = (-(-max(sides) // _STRIDE) * _STRIDE for sides in zip(*sizes))
    batch, why = images_that_fit(cfg.model, (width, height), min(most or _MOST, _MOST))
    set_run_flags(cfg, batch_size=batch, lr=lr)
    return dict(batch=f'{why}, measured on {width}x{height} pixels')


def _train_sizes(cfg: Config) -> Iterator[tuple[int, int]]:
    """All (width, height) that the training pipeline resizes or crops images to."""
    for step in steps(base_dataset(cfg, 'train').get('pipeline')):
        for key in SIZE_KEYS:
            yield from _pairs(step.get(key))


def _pairs(value: Any) -> Iterator[tuple[int, int]]:
    if not isinstance(value, (list, tuple)) or not value:
        return
    if isinstance(value[0], (list, tuple)):
        for entry in value:
            yield from _pairs(entry)
    elif len(value) == 2 and all(isinstance(side, int) for side in value):
        yield tuple(value)
