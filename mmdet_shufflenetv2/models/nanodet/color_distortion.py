"""The color augmentation of NanoDet."""

from __future__ import annotations

from typing import Any

from mmdet.datasets.transforms import PhotoMetricDistortion
from mmdet.registry import TRANSFORMS

__all__ = ['ColorDistortion']


@TRANSFORMS.register_module()
class ColorDistortion(PhotoMetricDistortion):
    """Change brightness, contrast and saturation, in this order, each with probability 0.5.

    MMDetection's ``PhotoMetricDistortion`` also shifts the hue and swaps color channels. NanoDet does neither, so
    classes that differ only in color remain distinguishable.

    Args:
        kwargs: ``brightness_delta``, ``contrast_range`` and ``saturation_range`` of ``PhotoMetricDistortion``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(hue_delta=0, **kwargs)

    def _random_flags(self) -> tuple[Any, ...]:
        _, *flags, _ = super()._random_flags()
        return 1, *flags, [0, 1, 2]  # contrast before saturation; keep the order of the channels
