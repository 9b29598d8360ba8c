"""Read access to a config: its data sets, its metrics, and whether its model is a detector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmdet.models.detectors import BaseDetector
from mmdet.registry import MODELS
from mmengine.config import Config

from ..utils.errors import UserError

__all__ = ['coco_metrics_of', 'datasets_of', 'is_detector', 'metrics_of', 'require_detector', 'require_entries']


def require_entries(cfg: Config, *names: str) -> None:
    """Raise a :class:`UserError` if a config lacks one of these top-level entries."""
    if missing := [name for name in names if cfg.get(name) is None]:
        raise UserError(f'{cfg.filename} has no {missing[0]}: it is not a complete config, like the files in _base_.')


def require_detector(cfg: Config, what: str) -> None:
    """Raise a :class:`UserError` if the model is registered but not a detector.

    The message starts with ``what``, such as ``tta averages boxes``.
    """
    if not is_detector(cfg):
        raise UserError(f'{what}, but the model of {cfg.filename} is not a detector: {cfg.model.type}.')


def is_detector(cfg: Config) -> bool:
    """Whether the model is a detector. An unknown model counts as one."""
    model_type = cfg.model.type if isinstance(cfg.model.type, type) else MODELS.get(cfg.model.type)
    return model_type is None or issubclass(model_type, BaseDetector)


def datasets_of(cfg: Config, *splits: str) -> Iterator[Any]:
    """All data set configs of these splits (default: ``train``, ``val``, ``test``), wrappers and wrapped ones."""
    dataloaders = [cfg.get(f'{split}_dataloader') for split in splits or ('train', 'val', 'test')]
    pending = [dataloader.dataset for dataloader in dataloaders if dataloader]
    while pending:
        dataset = pending.pop()
        yield dataset
        pending += [dataset.dataset] if 'dataset' in dataset else list(dataset.get('datasets', []))


def metrics_of(cfg: Config, key: str) -> list[Any]:
    """The metric configs of ``key``: ``val_evaluator`` or ``test_evaluator``."""
    evaluator = cfg.get(key) or []
    return list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]


def coco_metrics_of(cfg: Config, key: str) -> list[Any]:
    """The COCO metrics among :func:`metrics_of`."""
    return [metric for metric in metrics_of(cfg, key) if metric.get('type') in ('CocoMetric', 'mmdet.CocoMetric')]
