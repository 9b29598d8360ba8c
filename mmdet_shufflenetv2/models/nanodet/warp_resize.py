"""The geometric augmentation of NanoDet-Plus: one matrix and one interpolation."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type

__all__ = ['WarpResize']


@TRANSFORMS.register_module()
class WarpResize(BaseTransform):
    """Resize an image without keeping its aspect ratio, and randomly scale, stretch, flip and translate it.

    Without ranges it only resizes. Pixels are aligned by their corners, not by their centers as in ``cv2.resize``, so
    images are shifted by up to half a pixel against those of MMDetection's ``Resize``. Areas outside the image are
    black. Boxes are clipped to the result.

    Changed: ``img``, ``img_shape``, ``gt_bboxes``. Added: ``scale``, ``scale_factor``, ``keep_ratio``,
    ``homography_matrix``.

    Args:
        scale: Width and height of the result, in pixels.
        scaling_ratio_range: Range of the scale factor, about the center of the image.
        stretching_ratio_range: Range of the factors of width and height, which are independent.
        flip_prob: Probability of a horizontal flip.
        max_translate_ratio: Largest translation, as a fraction of the width and of the height.
    """

    def __init__(
        self,
        scale: tuple[int, int],
        scaling_ratio_range: tuple[float, float] = (1.0, 1.0),
        stretching_ratio_range: tuple[float, float] = (1.0, 1.0),
        flip_prob: float = 0.0,
        max_translate_ratio: float = 0.0,
    ) -> None:
        self.scale = tuple(scale)
        self.scaling_ratio_range = scaling_ratio_range
        self.stretching_ratio_range = stretching_ratio_range
        self.flip_prob = flip_prob
        self.max_translate_ratio = max_translate_ratio

    @cache_randomness  # type: ignore[untyped-decorator]  # mmcv has no types
    def _draw(self) -> tuple[float, float, float, float]:
        """Draw the factors of width and height, negative for a flip, and the translations as fractions of these."""
        factors = np.random.uniform(*self.scaling_ratio_range) * np.random.uniform(*self.stretching_ratio_range, 2)
        if np.random.rand() < self.flip_prob:
            factors[0] *= -1
        return *factors, *np.random.uniform(-self.max_translate_ratio, self.max_translate_ratio, 2)

    @autocast_box_type()  # type: ignore[untyped-decorator]  # MMDetection has no types
    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Warp the image and the boxes of ``results``."""
        height, width = results['img'].shape[:2]
        x_factor, y_factor, x_shift, y_shift = self._draw()
        about_center = np.array(
            [
                [x_factor, 0, width * (0.5 - 0.5 * x_factor + x_shift)],
                [0, y_factor, height * (0.5 - 0.5 * y_factor + y_shift)],
                [0, 0, 1],
            ]
        )
        factors = (self.scale[0] / width, self.scale[1] / height)
        matrix = np.diag([*factors, 1.0]) @ about_center
        results['img'] = cv2.warpPerspective(results['img'], matrix, self.scale)
        results['img_shape'] = self.scale[::-1]
        results['scale'], results['keep_ratio'] = self.scale, False
        results['scale_factor'] = factors
        results['homography_matrix'] = matrix.astype(np.float32)
        if 'gt_bboxes' in results:
            results['gt_bboxes'].project_(matrix)
            results['gt_bboxes'].clip_(results['img_shape'])
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(scale={self.scale}, scaling_ratio_range={self.scaling_ratio_range}, '
            f'stretching_ratio_range={self.stretching_ratio_range}, flip_prob={self.flip_prob}, '
            f'max_translate_ratio={self.max_translate_ratio})'
        )
