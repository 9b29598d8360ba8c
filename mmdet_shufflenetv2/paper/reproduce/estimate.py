"""What steps on made-up images take: how long a training would take here, and a detector's speed as in table 7."""

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
from mmengine.optim import build_optim_wrapper
from mmengine.registry import FUNCTIONS
from PIL import Image
from torchvision import datasets

from ...data.pipelines import base_dataset
from ...models.build import build_model
from ...profiling.timing import summarize, time_alternating

__all__ = ['Schedule', 'count_images', 'count_steps', 'images_per_second', 'schedule', 'seconds_per_step',
           'synthetic_batch']

# Side lengths of many photographs in ImageNet and in COCO.
_PHOTO = (480, 640)
# COCO has 7.3 objects per image.
_OBJECTS = 7
#: Images of a batch, and their height and width, by which table 7 counts images per second.
BATCH = 4
SIZE = (800, 1200)


class Schedule(NamedTuple):
    """Steps of a training and of all evaluations within it, each of one batch on each GPU."""

    train: int
    val: int


def schedule(cfg: Config, images: dict[str, int], gpus: int = 1) -> Schedule:
    """How many steps a config trains and evaluates; ``images`` are the numbers of those of ``train`` and ``val``."""
    evaluation = count_steps(cfg.val_dataloader, images['val'], gpus)
    loop = cfg.train_cfg
    every = loop.get('val_interval', 1)
    if 'max_iters' in loop:
        return Schedule(loop.max_iters, math.ceil(loop.max_iters / every) * evaluation)
    return Schedule(loop.max_epochs * count_steps(cfg.train_dataloader, images['train'], gpus),
                    math.ceil(loop.max_epochs / every) * evaluation)


def count_images(cfg: Config, split: str) -> int:
    """Number of images that a config's data loader of a split goes through."""
    return len(DATASETS.build(cfg[f'{split}_dataloader'].dataset))


def count_steps(dataloader: Any, images: int, gpus: int = 1) -> int:
    """Number of batches in which ``gpus`` processes go through the images once."""
    batches = math.ceil(images / gpus) / dataloader.batch_size
    return math.floor(batches) if dataloader.get('drop_last') else math.ceil(batches)


def seconds_per_step(cfg: Config, split: str, device: str, rounds: int = 3) -> float:
    """Seconds that a step of one batch takes, without reading files.

    The model, its optimizer and the size of its batches are the config's, the weights random.

    Args:
        split: ``train`` for a training step, ``val`` or ``test`` for one of an evaluation.
        rounds: How often it is timed, after one time that does not count; the median is taken.
    """
    model = build_model(cfg.model, for_training=split == 'train').to(device).train(split == 'train')
    batch = synthetic_batch(cfg, split, cfg[f'{split}_dataloader'].batch_size)
    optimizer_cfg = deepcopy(cfg.optim_wrapper)
    optimizer_cfg.pop('paramwise_cfg', None)
    optimizer_cfg.optimizer.lr = 0.0  # the same work, and no step into the void
    optimizer = build_optim_wrapper(model, optimizer_cfg)

    def step() -> None:
        if split == 'train':
            model.train_step(batch, optimizer)
        else:
            with torch.no_grad():
                model.test_step(batch)

    return summarize(time_alternating(dict(step=step), rounds=rounds, warmup=1, device=device)['step']).median


def images_per_second(cfg: Config, checkpoint: str | Path, device: str, rounds: int = 50) -> float:
    """Speed of a trained detector on batches of 4 images of 800x1200 pixels, from the pixels to the boxes.

    The median of ``rounds`` batches counts.
    """
    model = build_model(cfg.model, checkpoint).to(device)
    batch = synthetic_batch(cfg, 'test', BATCH, SIZE)
    with torch.no_grad():
        seconds = time_alternating(dict(batch=lambda: model.test_step(batch)), rounds=rounds, warmup=10, device=device)
    return BATCH / summarize(seconds['batch']).median


def synthetic_batch(cfg: Config, split: str, images: int, size: tuple[int, int] = _PHOTO) -> Any:
    """Noise in the shape of photographs, as the config's data loader would hand it to the model.

    Args:
        split: Whose pipeline the images pass, ``train``, ``val`` or ``test``.
        images: Number of images.
        size: Height and width of each before the pipeline, in pixels.
    """
    dataset = base_dataset(cfg, split)
    of_folders = issubclass(DATASETS.get(dataset.type), datasets.ImageFolder)
    pipeline = Compose([step for step in dataset.pipeline if not step['type'].startswith('Load')])
    rng = np.random.default_rng(0)
    samples = []
    for number in range(images):
        noise = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        samples.append(
            (pipeline(Image.fromarray(noise)), 0) if of_folders else pipeline(_detection(noise, rng, number)))
    dataloader = cfg[f'{split}_dataloader']
    collate = FUNCTIONS.get(dataloader.collate_fn.type) if 'collate_fn' in dataloader else pseudo_collate
    return collate(samples)


def _detection(image: np.ndarray, rng: np.random.Generator, number: int) -> dict[str, Any]:
    """What MMDetection's loading transforms leave behind."""
    height, width = image.shape[:2]
    corners = rng.uniform(0, 0.6, (_OBJECTS, 2))
    boxes = np.hstack((corners, corners + rng.uniform(0.1, 0.4, (_OBJECTS, 2)))) * (width, height, width, height)
    return dict(
        img=image, img_id=number, img_path='', img_shape=(height, width), ori_shape=(height, width),
        gt_bboxes=HorizontalBoxes(boxes.astype(np.float32)), gt_bboxes_labels=np.zeros(_OBJECTS, np.int64),
        gt_ignore_flags=np.zeros(_OBJECTS, bool))
