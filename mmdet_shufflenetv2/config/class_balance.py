"""``class_balance``: repeat images of rare classes."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import Any

from mmengine.config import Config

__all__ = ['balance_classes']

#: A class is rare if the median class has this many times more images.
_RARE = 8


def balance_classes(cfg: Config, train: dict[str, list[Any]], wanted: str) -> dict[str, str]:
    """Repeat images of rare classes with MMDetection's ``ClassBalancedDataset``.

    The repeat factor of a class is ``sqrt(t / f)``, where ``f`` is the number of its images and ``t`` half of that of
    the median class. The factor of an image is the largest of its classes. See "LVIS: A Dataset for Large Vocabulary
    Instance Segmentation" (arXiv 1908.03195, appendix B).

    Args:
        cfg: Changed in place; its data are set already.
        train: ``images``, ``annotations`` and ``categories`` to train on, in COCO's format.
        wanted: ``on``, ``off``, or ``auto``: on if a class is rare.

    Returns:
        What was chosen and why, by the name of its line on the first screen.
    """
    pairs = {(each['category_id'], each['image_id']) for each in train['annotations'] if not each.get('iscrowd')}
    counts = Counter(category for category, _ in pairs)
    is_balanced = any(part.get('type') == 'ClassBalancedDataset' for part in _nested(cfg.train_dataloader.dataset))
    if wanted == 'off' or is_balanced or len(counts) < 2:
        return {}
    middle, (rarest, fewest) = median(counts.values()), min(counts.items(), key=lambda entry: entry[1])
    if wanted == 'auto' and fewest * _RARE > middle:
        return {}
    cfg.train_dataloader.dataset = dict(
        type='ClassBalancedDataset',
        oversample_thr=middle / 2 / len(train['images']),
        dataset=cfg.train_dataloader.dataset,
    )
    name = next(each['name'] for each in train['categories'] if each['id'] == rarest)
    return {
        'class balance': f'images of rare classes are repeated ({name}: {fewest} images, median class: '
        f'{middle:.0f}); `class_balance` off disables this'
    }


def _nested(dataset: dict[str, Any]) -> list[dict[str, Any]]:
    return [dataset, *(_nested(dataset['dataset']) if 'dataset' in dataset else [])]
