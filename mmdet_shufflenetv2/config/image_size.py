"""Set the input size of a config in all transforms of its pipelines."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from ..data.pipelines import image_size, steps
from ..utils.errors import UserError
from .access import datasets_of

__all__ = ['SIZE_KEYS', 'parse_image_size', 'set_image_size']

#: Arguments of transforms that are a (width, height) in pixels.
SIZE_KEYS = ('scale', 'scales', 'size', 'img_scale', 'crop_size')
# The largest stride. It must divide the size of an input that is not padded later.
_STRIDE = 32


def parse_image_size(text: str) -> tuple[int, int]:
    """Parse ``640`` or ``1333x800`` to (width, height).

    Raises:
        UserError: If it is neither, or smaller than the stride of 32.
    """
    sides = text.lower().split('x')
    if not (len(sides) in (1, 2) and all(side.isdecimal() for side in sides) and min(map(int, sides)) >= _STRIDE):
        raise UserError(
            f'image_size={text}: expected one number of pixels such as 640, or WIDTHxHEIGHT such as '
            f'1333x800, at least {_STRIDE} each.'
        )
    return int(sides[0]), int(sides[-1])


def set_image_size(cfg: Config, size: tuple[int, int]) -> None:
    """Set the image size of a config's pipelines, and store it in the ``metainfo`` of its data sets.

    The size of the test pipeline becomes ``size``. Other sizes, such as those of multi-scale training, are scaled in
    proportion.

    Args:
        cfg: Changed in place.
        size: (width, height) in pixels that an image is fitted into. MMDetection's own ``Resize`` fits the long side
            of an image to the larger number and its short side to the smaller one.

    Raises:
        UserError: If the test pipeline has no resize, or pads to a size that must be a multiple of 32.
    """
    old = image_size(cfg)
    if old is None:
        raise UserError(
            f'`image_size` needs a Resize with a scale, but the test pipeline of {cfg.filename} has none. '
            f'Set the size in its pipelines.'
        )
    factors = size[0] / old[0], size[1] / old[1]
    for step in steps([dataset.get('pipeline') for dataset in datasets_of(cfg)] + [cfg.get('tta_pipeline')]):
        if step['type'] == 'CenterPad' and any(side % _STRIDE for side in size):
            raise UserError(
                f'image_size={size[0]}x{size[1]}: this detector needs multiples of {_STRIDE}, such as '
                f'{max(size[0] // _STRIDE, 1) * _STRIDE}x{max(size[1] // _STRIDE, 1) * _STRIDE}.'
            )
        for key in SIZE_KEYS:
            if key in step:
                step[key] = _scaled(step[key], factors)
    for dataset in datasets_of(cfg):
        dataset['metainfo'] = dict(dataset.get('metainfo') or {}, image_size=tuple(size))


def _scaled(value: Any, factors: tuple[float, float]) -> Any:
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], (list, tuple)):
        return [_scaled(entry, factors) for entry in value]
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return tuple(round(side * factor) for side, factor in zip(value, factors))
    return value
