"""AVIF and HEIC for everything that loads images with mmcv: custom configs, data sets and visualizers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..utils.image_decoding import decode, is_avif_or_heic
from .patches import replace

__all__ = ['read_more_formats']


def read_more_formats() -> None:
    """Let ``mmcv.imfrombytes``, which ``LoadImageFromFile`` and ``mmcv.imread`` call, decode AVIF and HEIC."""
    import mmcv

    own = mmcv.imfrombytes
    if hasattr(own, 'reads_avif_and_heic'):
        return

    def imfrombytes(
        content: bytes, flag: str = 'color', channel_order: str = 'bgr', backend: str | None = None
    ) -> np.ndarray | None:
        if not is_avif_or_heic(content):
            return own(content, flag, channel_order, backend)
        image = decode(content, upright=not flag.endswith('ignore_orientation'))
        if image is not None and flag.startswith('grayscale'):
            return mmcv.bgr2gray(image)
        return image[..., ::-1] if image is not None and channel_order == 'rgb' else image

    mark: Any = imfrombytes
    mark.reads_avif_and_heic = True
    for module in (mmcv, mmcv.image, mmcv.image.io):
        replace('mmcv.imfrombytes', module, imfrombytes)
