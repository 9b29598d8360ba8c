"""Images of rare classes are trained on more often."""

from __future__ import annotations

from collections import Counter
from statistics import median

from mmengine.config import Config

__all__ = ['balance_classes']

#: Rare is a class that so many times fewer images have than have the median class.
_RARE = 8


def balance_classes(cfg: Config, train: dict[str, list], wanted: str) -> dict[str, str]:
    """Repeat the images of classes that few images have, by MMDetection's ``ClassBalancedDataset``.

    An image is repeated by the square root of how many times fewer images have its rarest class than half of what have
    the median one, as in "LVIS: A Dataset for Large Vocabulary Instance Segmentation" (arXiv 1908.03195, appendix B).

    Args:
        cfg: Changed in place; the data are set already.
        train: ``images``, ``annotations`` and ``categories`` to train on, in COCO's format.
        wanted: ``on``, ``off``, or ``auto`` for doing so where a class is rare.

    Returns:
        What was chosen and why, by the name of the first screen's line.
    """
    pairs = {(each['category_id'], each['image_id']) for each in train['annotations'] if not each.get('iscrowd')}
    counts = Counter(category for category, _ in pairs)
    is_balanced = any(part.get('type') == 'ClassBalancedDataset' for part in _nested(cfg.train_dataloader.dataset))
    if wanted == 'off' or is_balanced or len(counts) < 2:
        return {}
    middle, (rarest, fewest) = median(counts.values()), min(counts.items(), key=lambda entry: entry[1])
    if wanted == 'auto' and fewest * _RARE > middle:
        return {}
    cfg.train_dataloader.dataset = dict(type='ClassBalancedDataset', oversample_thr=middle / 2 / len(train['images']),
                                        dataset=cfg.train_dataloader.dataset)
    name = next(each['name'] for each in train['categories'] if each['id'] == rarest)
    return {'class balance': f'images of rare classes are repeated: {fewest} have {name}, {middle:.0f} the median '
                             'class; `class_balance` off does not'}


def _nested(dataset: dict) -> list[dict]:
    return [dataset, *(_nested(dataset['dataset']) if 'dataset' in dataset else [])]
