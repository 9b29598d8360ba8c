"""The first half of NanoDet's letterbox: resize an image to fit a width and a height."""

from __future__ import annotations

from typing import Any

from mmdet.datasets.transforms import FixScaleResize
from mmdet.registry import TRANSFORMS

__all__ = ['FitResize']


@TRANSFORMS.register_module()
class FitResize(FixScaleResize):
    """Resize an image to the largest size that fits ``scale``, keeping its aspect ratio; sizes are rounded down.

    MMDetection's transforms treat ``scale`` as the long and the short side of the image, so neither limits its width.
    With a square ``scale`` there is no difference.

    Args:
        scale: Width and height in pixels.
    """

    def __init__(self, scale: tuple[int, int]) -> None:
        super().__init__(scale=tuple(scale), keep_ratio=True)

    def _resize_img(self, results: dict[str, Any]) -> None:
        (width, height), (h, w) = self.scale, results['img'].shape[:2]
        if (width - height) * (w - h) < 0:  # portrait in landscape or vice versa: the long side must fit the short one
            results['scale'] = (min(self.scale),) * 2
        super()._resize_img(results)
