"""The second half of NanoDet's letterbox: the image stands in the middle of a square of neutral colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type

from ..errors import UserError

__all__ = ['CenterPad']


@TRANSFORMS.register_module()
class CenterPad(BaseTransform):
    """Pad an image on all sides; MMDetection's ``Pad`` does so on the right and at the bottom.

    Behind :class:`.FitResize` it makes the input that NanoDet's weights expect. Filled with the data preprocessor's
    mean, the border is exactly 0 once normalised; since means are fractions, the image becomes float32.

    Changed: ``img``, ``img_shape``, ``gt_bboxes``, ``gt_masks``. Added: ``padding``, pixels on the left, on top, on
    the right and at the bottom. It has to be among the ``meta_keys`` of ``PackDetInputs``, or boxes cannot be brought
    back to the original image.

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
        results['img_shape'] = (height, width)
        if 'gt_bboxes' in results:
            results['gt_bboxes'].translate_((left, top))
        if 'gt_masks' in results:
            results['gt_masks'] = results['gt_masks'].expand(height, width, top, left)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size}, pad_val={self.pad_val})'
