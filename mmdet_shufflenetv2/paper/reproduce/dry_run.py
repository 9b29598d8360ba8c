"""Dry run of a row: its steps, and how long they would take on this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import torch
from mmdet.utils import register_all_modules

from ...profiling.timing import machine_name
from ...utils.errors import UserError
from .chain import check_weights
from .estimate import count_images, count_steps, schedule, seconds_per_step
from .request import Request
from .results import IMAGES
from .steps import Speed, Step, Training

__all__ = ['dry_run']


def dry_run(request: Request) -> Iterator[str]:
    """Estimate the remaining time of a row; nothing is written.

    A few steps with the config's model and batch size are timed on synthetic images. Reading images and writing
    checkpoints are not included. Without data, the number of images of the full data set is used.

    Yields:
        One line per step, and the total hours.

    Raises:
        UserError: If given data or weights are invalid.
    """
    register_all_modules(init_default_scope=True)
    if request.weights:
        check_weights(request)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    hours = 0.0
    yield f'{request.row.name} in {request.out}'
    for step in request.steps:
        if step.done or isinstance(step, Speed):
            yield f'{step.name:<9} {step.state}'
            continue
        work, seconds = _work(step, device)
        hours += seconds / 3600
        yield f'{step.name:<9} {step.state}; {work}: {_hours(seconds / 3600)} ({step.config})'
    yield f'{"in all":<9} {_hours(hours)} on {request.gpus} x {machine_name(device)}, without reading images'


def _work(step: Step, device: str) -> tuple[str, float]:
    """The remaining work of a step, as text and in seconds."""
    print(f'{step.name}: counting images', file=sys.stderr)
    images, note = _images(step)
    cfg = step.cfg
    print(f'{step.name}: timing steps of {cfg.val_dataloader.batch_size} images to evaluate', file=sys.stderr)
    evaluating = seconds_per_step(cfg, 'val', device)
    if not isinstance(step, Training):
        steps = count_steps(cfg.test_dataloader, images['val'])
        return f'{steps:,} steps of {evaluating:.3g} s for {images["val"]:,} images{note}', steps * evaluating
    total = schedule(cfg, images, step.gpus)
    print(f'{step.name}: timing steps of {cfg.train_dataloader.batch_size} images to train', file=sys.stderr)
    training = seconds_per_step(cfg, 'train', device)
    return (
        f'{total.train:,} steps of {training:.3g} s for {images["train"]:,} images{note}, evaluations of '
        f'{total.val:,} steps of {evaluating:.3g} s'
    ), (step.remaining * (total.train * training + total.val * evaluating))


def _images(step: Step) -> tuple[dict[str, int], str]:
    """Number of images of each split, and a note if the data set was not found."""
    try:
        step.check()
    except UserError:
        if step.data_root:
            raise
        # No folder was given, and the config's own does not exist.
        of_imagenet = step.cfg.model.type == 'ImageClassifier'
        return IMAGES['imagenet' if of_imagenet else 'coco'], ' (data set not found)'
    splits = dict(train='train', val='val') if isinstance(step, Training) else dict(val='test')
    return {name: count_images(step.cfg, split) for name, split in splits.items()}, ''


def _hours(hours: float) -> str:
    return f'{hours:,.1f} hours' if hours >= 1 else f'{60 * hours:.1f} minutes'
