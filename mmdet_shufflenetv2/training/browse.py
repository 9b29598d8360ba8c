"""``snv2 browse``: sheets of training images after augmentation, with the boxes that the model is trained on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmdet.registry import DATASETS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.runner import set_random_seed

from ..compat.registry_errors import registry_errors
from ..config.options import BrowseOptions
from ..config.resolve import resolve
from ..data.checks import prepare_data
from ..data.pipelines import step_name
from ..utils.errors import UserError
from ..utils.files import make_folder, write_atomically
from ..utils.options import takes_options
from ..visualization import class_color, draw_boxes, make_sheet

__all__ = ['browse', 'draw_sheets']

_ON_A_SHEET = 12


@takes_options(BrowseOptions)
def browse(options: BrowseOptions) -> list[Path]:
    """Write sheets of twelve images each: ``sheet_1.jpg``, ``sheet_2.jpg``, ... Returns their paths.

    The images are spread evenly over the data set. The same seed gives the same augmentation.

    Raises:
        UserError: If the config or the data is invalid.
    """
    cfg, _ = resolve(options)
    make_folder(options.out_dir, 'out_dir')
    prepare_data(cfg, options.split, say=options.data is None)
    return draw_sheets(cfg, options.out_dir, count=options.count, split=options.split, seed=options.seed)


def draw_sheets(
    cfg: Config, out_dir: str | os.PathLike[str], *, count: int, split: str = 'train', seed: int = 0
) -> list[Path]:
    """Like :func:`browse`, for a config with checked data and an existing folder."""
    register_all_modules(init_default_scope=True)
    dataset_cfg = cfg[f'{split}_dataloader'].dataset
    with registry_errors():
        dataset = DATASETS.build(dataset_cfg if split == 'train' else _loading_first(dataset_cfg))
    if not len(dataset):
        raise UserError(f'The {split} data of {cfg.filename} have no image with a box.')
    set_random_seed(seed)
    indices = np.unique(np.linspace(0, len(dataset) - 1, count).round().astype(int))
    drawn = [_draw(dataset, int(index)) for index in indices]
    sheets: list[Path] = []
    for first in range(0, len(drawn), _ON_A_SHEET):
        part = drawn[first : first + _ON_A_SHEET]
        sheets.append(Path(out_dir) / f'sheet_{len(sheets) + 1}.jpg')
        sheet = make_sheet([image for image, _ in part], [caption for _, caption in part])
        write_atomically(sheets[-1], cv2.imencode('.jpg', np.ascontiguousarray(sheet))[1].tobytes())
    return sheets


def _loading_first(dataset: dict[str, Any]) -> dict[str, Any]:
    """A data set config with all loading at the start of its pipeline, so that boxes are transformed with the image.

    MMDetection evaluates in pixels of the original image, so its test pipelines load boxes after the transforms.
    """
    changed = dict(dataset)
    if 'pipeline' in dataset:
        changed['pipeline'] = sorted(dataset['pipeline'], key=lambda step: not step_name(step).startswith('Load'))
    if 'dataset' in dataset:
        changed['dataset'] = _loading_first(dataset['dataset'])
    if 'datasets' in dataset:
        changed['datasets'] = [_loading_first(each) for each in dataset['datasets']]
    return changed


def _draw(dataset: Any, index: int) -> tuple[np.ndarray, str]:
    """An augmented image with its boxes, and its caption."""
    packed = dataset[index]
    # BGR, as in MMDetection. Some transforms produce floats, and values above 255.
    image = packed['inputs'].permute(1, 2, 0).numpy().clip(0, 255).astype(np.uint8)
    sample, classes = packed['data_samples'], dataset.metainfo['classes']
    truth = sample.gt_instances
    labels = truth.labels.tolist()
    boxes = np.asarray(getattr(truth.bboxes, 'tensor', truth.bboxes)).reshape(-1, 4)
    drawn = draw_boxes(image, boxes, [classes[label] for label in labels], [class_color(label) for label in labels])
    name = Path(sample.get('img_path') or '').name
    boxes_said = '1 box' if len(labels) == 1 else f'{len(labels)} boxes'
    return drawn, f'{name or index}: {image.shape[1]} x {image.shape[0]}, {boxes_said}'
