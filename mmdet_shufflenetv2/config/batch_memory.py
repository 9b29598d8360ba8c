"""As many images per step as memory takes."""

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
    """Set the largest power of two of images per step that memory takes; the learning rate follows.

    Args:
        cfg: Changed in place; its classes and image size are set already.
        lr: The learning rate that an option names, which does not follow.
        most: What the number of images to train on makes sense for; None if there is no such limit.

    Returns:
        What was chosen and why, by the name of the first screen's line.

    Raises:
        UserError: If it is not a detector's config, if several processes train, or if memory takes less than two.
    """
    require_detector(cfg, 'batch_size=auto trains on random boxes')
    if cfg.get('launcher', 'none') != 'none' or int(os.environ.get('WORLD_SIZE', 1)) > 1:
        raise UserError('batch_size=auto measures the memory of one process, and several share this machine. Name a '
                        'number.')
    sizes = list(_train_sizes(cfg)) or [image_size(cfg) or (1333, 800)]
    width, height = (-(-max(sides) // _STRIDE) * _STRIDE for sides in zip(*sizes))
    batch, why = images_that_fit(cfg.model, (width, height), min(most or _MOST, _MOST))
    set_run_flags(cfg, batch_size=batch, lr=lr)
    return dict(batch=f'{why}, measured on {width}x{height} pixels')


def _train_sizes(cfg: Config) -> Iterator[tuple[int, int]]:
    """Widths and heights that the training pipeline makes of images."""
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
