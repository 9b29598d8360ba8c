"""Timing steps on synthetic images: the duration of a training on this machine, and the speed of table 7."""

from __future__ import annotations

import math
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmdet.registry import DATASETS
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import FUNCTIONS
from PIL import Image
from torchvision import datasets

from ...data.pipelines import base_dataset
from ...models.build import build_model
from ...profiling.timing import summarize, time_alternating

__all__ = [
    'Schedule',
    'count_images',
    'count_steps',
    'images_per_second',
    'schedule',
    'seconds_per_step',
    'synthetic_batch',
]

# Height and width of many photos in ImageNet and COCO.
_PHOTO = (480, 640)
# COCO has 7.3 objects per image.
_OBJECTS = 7
#: Batch size, and height and width of the images, with which table 7 measures images per second.
BATCH = 4
SIZE = (800, 1200)


class Schedule(NamedTuple):
    """Number of steps of a training and of its evaluations; a step is one batch on each GPU."""

    train: int
    val: int


def schedule(cfg: Config, images: dict[str, int], gpus: int = 1) -> Schedule:
    """Number of steps of a config; ``images`` gives the number of images of ``train`` and ``val``."""
    evaluation = count_steps(cfg.val_dataloader, images['val'], gpus)
    loop = cfg.train_cfg
    every = loop.get('val_interval', 1)
    if 'max_iters' in loop:
        return Schedule(loop.max_iters, math.ceil(loop.max_iters / every) * evaluation)
    return Schedule(
        loop.max_epochs * count_steps(cfg.train_dataloader, images['train'], gpus),
        math.ceil(loop.max_epochs / every) * evaluation,
    )


def count_images(cfg: Config, split: str) -> int:
    """Number of images in the data loader of a split."""
    return len(DATASETS.build(cfg[f'{split}_dataloader'].dataset))


def count_steps(dataloader: Any, images: int, gpus: int = 1) -> int:
    """Number of steps for which ``gpus`` processes read the images once."""
    batches = math.ceil(images / gpus) / dataloader.batch_size
    return math.floor(batches) if dataloader.get('drop_last') else math.ceil(batches)


def seconds_per_step(cfg: Config, split: str, device: str, rounds: int = 3) -> float:
    """Median seconds of a step of one batch, without reading files.

    Model, optimizer and batch size are those of the config; the weights are random.

    Args:
        split: ``train`` for a training step, ``val`` or ``test`` for an evaluation step.
        rounds: Number of timed steps, after one warm-up step.
    """
    model: BaseModel = build_model(cfg.model, for_training=split == 'train').to(device).train(split == 'train')
    batch = synthetic_batch(cfg, split, cfg[f'{split}_dataloader'].batch_size)
    optimizer_cfg = deepcopy(cfg.optim_wrapper)
    optimizer_cfg.pop('paramwise_cfg', None)
    optimizer_cfg.optimizer.lr = 0.0  # the same work without diverging
    optimizer = build_optim_wrapper(model, optimizer_cfg)

    def step() -> None:
        if split == 'train':
            model.train_step(batch, optimizer)
        else:
            with torch.no_grad():
                model.test_step(batch)

    return summarize(time_alternating(dict(step=step), rounds=rounds, warmup=1, device=device)['step']).median


def images_per_second(cfg: Config, checkpoint: str | Path, device: str, rounds: int = 50) -> float:
    """Speed of a trained detector on batches of 4 images of 800x1200 pixels, from pixels to boxes.

    This is the median of ``rounds`` batches.
    """
    model: BaseModel = build_model(cfg.model, checkpoint).to(device)
    batch = synthetic_batch(cfg, 'test', BATCH, SIZE)
    with torch.no_grad():
        seconds = time_alternating(dict(batch=lambda: model.test_step(batch)), rounds=rounds, warmup=10, device=device)
    return BATCH / summarize(seconds['batch']).median


def synthetic_batch(cfg: Config, split: str, images: int, size: tuple[int, int] = _PHOTO) -> Any:
    """A batch of noise in the size of photos, as from the config's data loader.

    Args:
        split: Split whose pipeline is used, ``train``, ``val`` or ``test``.
        images: Number of images.
        size: Height and width of each before the pipeline, in pixels.
    """
    dataset = base_dataset(cfg, split)
    is_image_folder = issubclass(DATASETS.get(dataset.type), datasets.ImageFolder)
    pipeline = Compose([step for step in dataset.pipeline if not step['type'].startswith('Load')])
    rng = np.random.default_rng(0)
    samples = []
    for number in range(images):
        noise = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        samples.append(
            (pipeline(Image.fromarray(noise)), 0) if is_image_folder else pipeline(_detection(noise, rng, number))
        )
    dataloader = cfg[f'{split}_dataloader']
    collate = FUNCTIONS.get(dataloader.collate_fn.type) if 'collate_fn' in dataloader else pseudo_collate
    return collate(samples)


def _detection(image: np.ndarray, rng: np.random.Generator, number: int) -> dict[str, Any]:
    """The output of MMDetection's loading transforms, with random boxes."""
    height, width = image.shape[:2]
    corners = rng.uniform(0, 0.6, (_OBJECTS, 2))
    boxes = np.hstack((corners, corners + rng.uniform(0.1, 0.4, (_OBJECTS, 2)))) * (width, height, width, height)
    return dict(
        img=image,
        img_id=number,
        img_path='',
        img_shape=(height, width),
        ori_shape=(height, width),
        gt_bboxes=HorizontalBoxes(boxes.astype(np.float32)),
        gt_bboxes_labels=np.zeros(_OBJECTS, np.int64),
        gt_ignore_flags=np.zeros(_OBJECTS, bool),
    )
