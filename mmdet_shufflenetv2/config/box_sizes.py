"""A larger input size for data whose boxes are smaller than COCO's."""

from __future__ import annotations

from pathlib import Path
from statistics import median, quantiles
from typing import Any

from mmengine.config import Config

from ..data.pipelines import image_size
from .image_size import set_image_size
from .load import CHECKPOINT_SUFFIXES
from .options import TrainOptions

__all__ = ['fit_image_size']

#: The lower quartile of COCO's boxes: square root of the area, as a fraction of the longer side of the image.
_COCO_QUARTILE = 0.039
#: Smaller changes are not worth their time. Larger ones take more than four times as long per image.
_LEAST_FACTOR, _LARGEST_FACTOR = 1.25, 2
_STRIDE = 32


def fit_image_size(cfg: Config, train: dict[str, list[Any]], options: TrainOptions) -> dict[str, str]:
    """Choose an input size at which small boxes have as many pixels as COCO's at the config's size.

    The size is never smaller than that of the config, never larger than the images, and at most doubled.

    Args:
        cfg: Changed in place; the data are set already.
        train: ``images`` and ``annotations`` to train on, in COCO's format.
        options: The options of the run. A size that they set is not changed, nor that of a checkpoint to start from.

    Returns:
        What was chosen and why, by the name of its line on the first screen.
    """
    size = image_size(cfg)
    if (
        size is None
        or options.image_size is not None
        or Path(options.config).suffix in CHECKPOINT_SUFFIXES
        or any('pipeline' in key for key in options.cfg_options or {})
    ):
        return {}
    longer = {each['id']: max(each['width'], each['height']) for each in train['images']}
    sides = [
        (each['bbox'][2] * each['bbox'][3]) ** 0.5 / longer[each['image_id']]
        for each in train['annotations']
        if not each.get('iscrowd')
    ]
    if len(sides) < 2:
        return {}
    quartile = quantiles(sides, n=4)[0]
    factor = min(_COCO_QUARTILE / max(quartile, 1e-6), _LARGEST_FACTOR, median(longer.values()) / max(size))
    larger = tuple(round(side * factor / _STRIDE) * _STRIDE for side in size)
    if factor < _LEAST_FACTOR:
        return {}
    set_image_size(cfg, larger)
    return {
        'image size': f'{larger[0]}x{larger[1]} instead of {size[0]}x{size[1]}: a quarter of the boxes would be '
        f'smaller than {quartile * max(size):.0f} pixels; image_size=N changes it'
    }
