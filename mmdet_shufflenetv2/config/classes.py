"""Set the classes of a config. MMDetection keeps them in many entries; here all of them are set together."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from mmdet.registry import MODELS
from mmengine.config import Config

from ..data.prepared import Prepared
from ..visualization import class_color
from .access import coco_metrics_of, datasets_of

__all__ = ['apply_prepared_data', 'class_heads', 'set_classes']


def set_classes(cfg: Config, classes: Sequence[str]) -> None:
    """Set class names and colors of every data set, and ``num_classes`` of every head. ``cfg`` is changed in place.

    ``metainfo`` also gets ``num_classes``. It ends up in checkpoints and shows there that the heads were adapted.
    """
    for head in class_heads(cfg.model):
        head['num_classes'] = len(classes)
    for dataset in datasets_of(cfg):
        if 'dataset' in dataset or 'datasets' in dataset:  # RepeatDataset, ... take it from the inner ones
            continue
        dataset['metainfo'] = dict(
            dataset.get('metainfo') or {},
            classes=tuple(classes),
            num_classes=len(classes),
            palette=[class_color(label) for label in range(len(classes))],
        )


def class_heads(part: Any, name: str = 'model') -> Iterator[dict[str, Any]]:
    """The parts of a model config that depend on the number of classes.

    These are the parts with ``num_classes``, and the heads that use its default. An RPN is excluded, because it only
    separates objects from background. ``name`` is the key of ``part``.
    """
    if isinstance(part, (list, tuple)):
        for entry in part:
            yield from class_heads(entry, name)
    elif isinstance(part, dict) and name != 'rpn_head':
        if 'type' in part and ('num_classes' in part or (name.endswith('head') and _takes_classes(part['type']))):
            yield part
        for key, value in part.items():
            yield from class_heads(value, key)


def _takes_classes(kind: str | type) -> bool:
    built: Any = MODELS.get(kind) if isinstance(kind, str) else kind
    return built is not None and any(
        'num_classes' in inspect.signature(base.__init__).parameters for base in built.__mro__[:-1]
    )


def apply_prepared_data(cfg: Config, data: Prepared) -> None:
    """Set a user's data as the training, validation and test data of a config, which is changed in place.

    Pipelines, filters, samplers and batch sizes stay as in the config. Without a ``test`` split, the test data are
    those of ``val``.
    """
    splits = dict(data.splits, test=data.splits.get('test', data.splits['val']))
    for name, (ann_file, images) in splits.items():
        dataloader, evaluator = cfg.get(f'{name}_dataloader'), f'{name}_evaluator'
        if dataloader is None:
            continue
        dataloader['dataset'] = _dataset(dataloader['dataset'], ann_file, images)
        if name != 'train':
            metrics = [dict(metric, ann_file=ann_file) for metric in coco_metrics_of(cfg, evaluator)]
            cfg[evaluator] = metrics or [dict(type='CocoMetric', ann_file=ann_file, metric='bbox')]
    set_classes(cfg, data.classes)


def _dataset(dataset: dict[str, Any], ann_file: str, images: str) -> dict[str, Any]:
    """A data set config with other files. For a concatenated data set, pipeline and filters of the first are kept."""
    if 'datasets' in dataset:
        return _dataset(dataset['datasets'][0], ann_file, images)
    if 'dataset' in dataset:  # RepeatDataset, MultiImageMixDataset, ...
        return dict(dataset, dataset=_dataset(dataset['dataset'], ann_file, images))
    keys = ('pipeline', 'filter_cfg', 'test_mode', 'backend_args', 'indices', 'metainfo')
    kept: dict[str, Any] = {key: dataset[key] for key in keys if key in dataset}
    if kept.get('filter_cfg'):  # keep small images
        kept['filter_cfg'] = {key: value for key, value in kept['filter_cfg'].items() if key != 'min_size'}
    return dict(kept, type='CocoDataset', data_root='', ann_file=ann_file, data_prefix=dict(img=images))
