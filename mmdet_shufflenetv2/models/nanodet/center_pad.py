"""The second half of NanoDet's letterbox: the image stands in the middle of a square of neutral colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type

from ...utils.errors import UserError

__all__ = ['CenterPad', 'top_left_padding']


class _PaddedShape(tuple):
    """Height and width that know of their ``padding``: every pipeline packs ``img_shape``, but not ``padding``."""

    padding: tuple[int, int, int, int]


@TRANSFORMS.register_module()
class CenterPad(BaseTransform):
    """Pad an image on all sides; MMDetection's ``Pad`` does so on the right and at the bottom.

    Behind :class:`.FitResize` it makes the input that NanoDet's weights expect. Filled with the data preprocessor's
    mean, the border is exactly 0 once normalised; since means are fractions, the image becomes float32.

    Changed: ``img``, ``img_shape``, ``gt_bboxes``, ``gt_masks``. Added: ``padding``, pixels on the left, on top, on
    the right and at the bottom. It has to be among the ``meta_keys`` of ``PackDetInputs``, or boxes cannot be brought
    back to the original image, which :func:`top_left_padding` refuses.

    Args:
        size: Width and height to pad to, in pixels.
        pad_val: Value of the border, one a channel.

    Raises:
        UserError: (a ``ValueError``) If an image is larger than ``size``.
    """

    def __init__(self, size: tuple[int, int], pad_val: Sequence[float] = (0, 0, 0)) -> None:
        self.size = tuple(size)
        self.pad_val = tuple(pad_val)

    @autocast_box_type()
    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pad what one image's results hold."""
        img = results['img']
        (width, height), (h, w) = self.size, img.shape[:2]
        if w > width or h > height:
            raise UserError(f'CenterPad(size={self.size}) got an image of {w} x {h} pixels. Put FitResize(scale='
                            f'{self.size}) in front of it.')
        left, top = (width - w) // 2, (height - h) // 2
        results['padding'] = (left, top, width - w - left, height - h - top)
        results['img'] = mmcv.impad(img.astype(np.float32), padding=results['padding'], pad_val=self.pad_val)
        results['img_shape'] = _PaddedShape((height, width))
        results['img_shape'].padding = results['padding']
        if 'gt_bboxes' in results:
            results['gt_bboxes'].translate_((left, top))
        if 'gt_masks' in results:
            results['gt_masks'] = results['gt_masks'].expand(height, width, top, left)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size}, pad_val={self.pad_val})'


def top_left_padding(img_meta: dict[str, Any]) -> tuple[int, int]:
    """Pixels that were added on the left and on top of an image; (0, 0) where :class:`CenterPad` was not used.

    An image that was flipped after it had been padded has the sides exchanged.

    Raises:
        UserError: (a ``ValueError``) If the image was padded and its ``padding`` was not packed.
    """
    if 'padding' not in img_meta and any(getattr(img_meta['img_shape'], 'padding', ())):
        raise UserError("CenterPad moved an image, and its 'padding' was not packed: boxes cannot be brought back to "
                        "the original image. Add 'padding' to the meta_keys of PackDetInputs in test_pipeline and in "
                        'tta_pipeline, as configs/nanodet_m_snv2.py does.')
    left, top, right, bottom = img_meta.get('padding', (0, 0, 0, 0))
    direction = img_meta.get('flip_direction') if img_meta.get('flip') else None
    return (right if direction in ('horizontal', 'diagonal') else left,
            bottom if direction in ('vertical', 'diagonal') else top)
