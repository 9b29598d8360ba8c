"""What a row would run, and how long that would take here."""

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
    """Estimate what is left of a row; nothing is written.

    A few steps of the config's own model and batch size are timed on made-up images; reading images and writing
    checkpoints come on top. Data need not be there: without, the number of images is that of the whole data set.

    Yields:
        One line per step, and the hours in all.

    Raises:
        UserError: If data or weights are named and are invalid.
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
    """What is left to do in words and in seconds."""
    print(f'{step.name}: counting images', file=sys.stderr)
    images, whose = _images(step)
    cfg = step.cfg
    print(f'{step.name}: timing steps of {cfg.val_dataloader.batch_size} images to evaluate', file=sys.stderr)
    evaluating = seconds_per_step(cfg, 'val', device)
    if not isinstance(step, Training):
        steps = count_steps(cfg.test_dataloader, images['val'])
        return f'{steps:,} steps of {evaluating:.3g} s for {images["val"]:,} images{whose}', steps * evaluating
    steps = schedule(cfg, images, step.gpus)
    print(f'{step.name}: timing steps of {cfg.train_dataloader.batch_size} images to train', file=sys.stderr)
    training = seconds_per_step(cfg, 'train', device)
    return (f'{steps.train:,} steps of {training:.3g} s for {images["train"]:,} images{whose}, evaluations of '
            f'{steps.val:,} steps of {evaluating:.3g} s'), step.left * (steps.train * training + steps.val * evaluating)


def _images(step: Step) -> tuple[dict[str, int], str]:
    """Number of images of each split, and where that is known from."""
    try:
        step.check()
    except UserError:
        if step.data_root:
            raise
        # Nothing was named, and nothing lies where the config looks by itself.
        of_imagenet = step.cfg.model.type == 'ImageClassifier'
        return IMAGES['imagenet' if of_imagenet else 'coco'], ' (not there yet)'
    splits = dict(train='train', val='val') if isinstance(step, Training) else dict(val='test')
    return {name: count_images(step.cfg, split) for name, split in splits.items()}, ''


def _hours(hours: float) -> str:
    return f'{hours:,.1f} hours' if hours >= 1 else f'{60 * hours:.1f} minutes'
