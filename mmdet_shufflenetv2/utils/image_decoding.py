"""The decoder of image files for training, prediction and exported detectors.

OpenCV decodes most formats, as in MMDetection. Pillow decodes AVIF and HEIC: OpenCV does not support HEIC, and ignores
the rotation that both formats store.
"""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = ['decode', 'is_avif_or_heic', 'pillow_formats']

# Brands of ISO media files with still images, or with image sequences (the first image is used).
_BRANDS = (b'avif', b'avis', b'heic', b'heix', b'hevc', b'hevx', b'heim', b'heis', b'mif1', b'msf1')
# Formats that OpenCV supports, too. For some others, Pillow would start Ghostscript.
_FORMATS = ('BMP', 'GIF', 'JPEG', 'JPEG2000', 'PNG', 'PPM', 'TIFF', 'WEBP')


@functools.cache
def pillow_formats() -> tuple[str, ...]:
    """The formats that Pillow may open: also HEIC if pillow-heif is installed, and AVIF if Pillow was built with it."""
    try:
        from pillow_heif import register_heif_opener

        register_heif_opener()
    except ImportError:
        pass
    Image.init()
    return tuple(name for name in (*_FORMATS, 'AVIF', 'HEIF') if name in Image.OPEN)


def is_avif_or_heic(content: Any) -> bool:
    """Whether the first bytes of a file, at least twelve, are those of AVIF or HEIC."""
    return bytes(content[4:8]) == b'ftyp' and bytes(content[8:12]) in _BRANDS


def decode(content: bytes | np.ndarray, upright: bool = True) -> np.ndarray | None:
    """Decode an image file to ``(H, W, 3)`` uint8 in BGR order. Returns None if the format is unknown.

    16-bit images are reduced to their upper 8 bits. Of an animation, the first frame is used. Transparency is dropped.

    Args:
        content: The complete content of the file.
        upright: Whether to rotate the image by its stored orientation.
    """
    import cv2  # not needed to check headers only

    if is_avif_or_heic(content):
        try:
            with Image.open(io.BytesIO(bytes(content)), formats=pillow_formats()) as file:
                image = ImageOps.exif_transpose(file) if upright else file
                return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1])
        except UnidentifiedImageError:  # this Pillow lacks the format; OpenCV may decode AVIF
            pass
    return cv2.imdecode(
        np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    )
