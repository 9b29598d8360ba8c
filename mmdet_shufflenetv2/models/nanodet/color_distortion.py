"""The colour augmentation of NanoDet."""

from __future__ import annotations

from typing import Any

from mmdet.datasets.transforms import PhotoMetricDistortion
from mmdet.registry import TRANSFORMS

__all__ = ['ColorDistortion']


@TRANSFORMS.register_module()
class ColorDistortion(PhotoMetricDistortion):
    """Brightness, contrast and saturation, in this order, each changed in one image of two.

    MMDetection's ``PhotoMetricDistortion`` also shifts hues and exchanges the colour channels; what a stain or a
    signal means is lost by that, and NanoDet does neither.

    Args:
        kwargs: ``brightness_delta``, ``contrast_range`` and ``saturation_range`` of ``PhotoMetricDistortion``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(hue_delta=0, **kwargs)

    def _random_flags(self) -> tuple:
        _, *flags, _ = super()._random_flags()
        return 1, *flags, [0, 1, 2]  # contrast before saturation, and the order of the channels
