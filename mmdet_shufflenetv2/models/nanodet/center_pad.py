"""The second half of NanoDet's letterbox: pad an image on all sides to a fixed size."""

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


class _PaddedShape(tuple[int, int]):
    """Height and width with their ``padding``: every pipeline packs ``img_shape``, but not ``padding``."""

    padding: tuple[int, int, int, int]


@TRANSFORMS.register_module()
class CenterPad(BaseTransform):
    """Pad an image on all sides; MMDetection's ``Pad`` only pads on the right and at the bottom.

    After :class:`.FitResize`, the result is the input that NanoDet's weights expect. With the data preprocessor's mean
    as ``pad_val`` the border is exactly 0 after normalization. Means are fractions, so the image becomes float32.

    Changed: ``img``, ``img_shape``, ``gt_bboxes``, ``gt_masks``. Added: ``padding``, the pixels added on the left, at
    the top, on the right and at the bottom. It must be in the ``meta_keys`` of ``PackDetInputs``; without it boxes
    cannot be mapped to the original image, and :func:`top_left_padding` raises an error.

    Args:
        size: Width and height to pad to, in pixels.
        pad_val: Value of the border, one per channel.

    Raises:
        UserError: (a ``ValueError``) If an image is larger than ``size``.
    """

    def __init__(self, size: tuple[int, int], pad_val: Sequence[float] = (0, 0, 0)) -> None:
        self.size = tuple(size)
        self.pad_val = tuple(pad_val)

    @autocast_box_type()  # type: ignore[untyped-decorator]  # MMDetection has no types
    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pad the image, boxes and masks of ``results``."""
        img = results['img']
        (width, height), (h, w) = self.size, img.shape[:2]
        if w > width or h > height:
            raise UserError(
                f'The image is larger than CenterPad(size={self.size}): {w} x {h} pixels. Add '
                f'FitResize(scale={self.size}) before it.'
            )
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
    """Pixels added on the left and at the top of an image; (0, 0) without :class:`CenterPad`.

    If the image was flipped after the padding, the opposite sides count.

    Raises:
        UserError: (a ``ValueError``) If the image was padded and its ``padding`` was not packed.
    """
    if 'padding' not in img_meta and any(getattr(img_meta['img_shape'], 'padding', ())):
        raise UserError(
            "The metadata of an image padded by CenterPad has no 'padding': boxes cannot be mapped to the "
            "original image. Add 'padding' to the meta_keys of PackDetInputs in test_pipeline and "
            'tta_pipeline, as in configs/nanodet_m_snv2.py.'
        )
    left, top, right, bottom = img_meta.get('padding', (0, 0, 0, 0))
    direction = img_meta.get('flip_direction') if img_meta.get('flip') else None
    return (
        right if direction in ('horizontal', 'diagonal') else left,
        bottom if direction in ('vertical', 'diagonal') else top,
    )
