"""Images per second of a detector, as table 7 counts them."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import Config

from ...models.build import build_model
from ...profiling.timing import summarize, time_alternating
from .estimate import synthetic_batch

__all__ = ['images_per_second']

BATCH = 4
SIZE = (800, 1200)


def images_per_second(cfg: Config, checkpoint: str | Path, device: str, rounds: int = 50) -> float:
    """Speed of a trained detector on batches of 4 images of 800x1200 pixels, from the pixels to the boxes.

    Args:
        cfg: Its config.
        checkpoint: Its weights.
        device: Where to compute.
        rounds: Timed batches; the median counts.
    """
    model = build_model(cfg.model, checkpoint).to(device)
    batch = synthetic_batch(cfg, 'test', BATCH, SIZE)
    with torch.no_grad():
        seconds = time_alternating(dict(batch=lambda: model.test_step(batch)), rounds=rounds, warmup=10, device=device)
    return BATCH / summarize(seconds['batch']).median
