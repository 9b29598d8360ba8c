"""Resizing of images for an exported detector, as in its test pipeline. NumPy, and OpenCV or Pillow."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..utils.errors import UserError

__all__ = ['INTERPOLATIONS', 'Resize', 'check_image']

#: MMDetection's name of an interpolation -> OpenCV's or Pillow's, by backend.
INTERPOLATIONS = dict(
    cv2=dict(
        nearest='INTER_NEAREST',
        bilinear='INTER_LINEAR',
        bicubic='INTER_CUBIC',
        area='INTER_AREA',
        lanczos='INTER_LANCZOS4',
    ),
    pillow=dict(
        nearest='NEAREST', bilinear='BILINEAR', bicubic='BICUBIC', box='BOX', lanczos='LANCZOS', hamming='HAMMING'
    ),
    # OpenCV's warpPerspective aligns corners, not centers of pixels.
    warp=dict(bilinear='INTER_LINEAR'),
)


class Resize(NamedTuple):
    """How an image is resized before it enters the graph; stored in the file as JSON.

    Without ``keep_ratio`` the image gets the size ``scale``: width and height. With ``keep_ratio`` it gets the largest
    size within ``scale``, where the longer side of ``scale`` limits the image's longer side; with ``fit``, the first
    limits the width and the second the height.
    """

    #: None for no resizing.
    scale: tuple[int, int] | None
    keep_ratio: bool
    #: Whether sizes are rounded down, as in MMDetection's FixScaleResize, or to the nearest integer.
    cut: bool
    #: This and the following fields are missing in files of earlier versions.
    fit: bool = False
    #: A key of :data:`INTERPOLATIONS`.
    interpolation: str = 'bilinear'
    #: ``cv2``, ``pillow`` or ``warp``.
    backend: str = 'cv2'

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the resized image."""
        if self.scale is None:
            return height, width
        if not self.keep_ratio:
            return self.scale[1], self.scale[0]
        sides, of = (self.scale, (width, height)) if self.fit else (sorted(self.scale), sorted((width, height)))
        factor = min(sides[0] / of[0], sides[1] / of[1])
        half = 0.0 if self.cut else 0.5
        return max(int(height * factor + half), 1), max(int(width * factor + half), 1)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The image ``(H, W, 3)`` uint8, resized."""
        height, width = self.size(*image.shape[:2])
        name = INTERPOLATIONS[self.backend][self.interpolation]
        if self.backend == 'pillow':
            from PIL import Image  # only this resizing needs it

            return np.array(Image.fromarray(image).resize((width, height), getattr(Image.Resampling, name)))
        import cv2

        if self.backend == 'warp':
            matrix = np.diag([width / image.shape[1], height / image.shape[0], 1.0])
            return cv2.warpPerspective(image, matrix, (width, height), flags=getattr(cv2, name))
        return cv2.resize(image, (width, height), interpolation=getattr(cv2, name))


def check_image(image: Any) -> None:
    """Raise a :class:`UserError` unless it is an array ``(H, W, 3)`` of uint8."""
    if not isinstance(image, np.ndarray):
        raise UserError(
            f'Expected an image as NumPy array (H, W, 3) of uint8, as cv2.imread returns it; got '
            f'{"None: the file could not be read" if image is None else type(image).__name__}.'
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise UserError(
            f'Expected an image as array (H, W, 3) of uint8, blue, green, red; got {image.shape} of {image.dtype}.'
        )
