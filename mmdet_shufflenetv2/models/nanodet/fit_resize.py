"""The first half of NanoDet's letterbox: an image becomes as large as fits into a width and a height."""

from __future__ import annotations

from typing import Any

from mmdet.datasets.transforms import FixScaleResize
from mmdet.registry import TRANSFORMS

__all__ = ['FitResize']


@TRANSFORMS.register_module()
class FitResize(FixScaleResize):
    """Resize an image so that it fits into ``scale``, and keep its ratio; fractions of a pixel are cut off.

    The transforms of MMDetection take ``scale`` as a long and a short side, whichever way an image lies, so that
    neither is a limit to its width. In a square there is no difference.

    Args:
        scale: Width and height in pixels.
    """

    def __init__(self, scale: tuple[int, int]) -> None:
        super().__init__(scale=tuple(scale), keep_ratio=True)

    def _resize_img(self, results: dict[str, Any]) -> None:
        (width, height), (h, w) = self.scale, results['img'].shape[:2]
        if (width - height) * (w - h) < 0:  # it lies the other way: its long side has to fit into the short one
            results['scale'] = (min(self.scale), ) * 2
        super()._resize_img(results)
