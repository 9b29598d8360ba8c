"""The one decoder of image files, for training, prediction and exported detectors alike.

OpenCV decodes, as in MMDetection. AVIF and HEIC are left to Pillow: OpenCV does not read HEIC, and passes over the
rotation that files of both kinds store.
"""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps

__all__ = ['decode', 'is_avif_or_heic', 'pillow_formats']

# Of ISO's media files, those of still images, and of sequences, of which the first image is taken.
_BRANDS = (b'avif', b'avis', b'heic', b'heix', b'hevc', b'hevx', b'heim', b'heis', b'mif1', b'msf1')
# What OpenCV reads too. Pillow would start Ghostscript for others.
_FORMATS = ('BMP', 'GIF', 'JPEG', 'JPEG2000', 'PNG', 'PPM', 'TIFF', 'WEBP')


@functools.cache
def pillow_formats() -> tuple[str, ...]:
    """What Pillow may open here: HEIC where pillow-heif is installed, AVIF where Pillow was built with it."""
    try:
        from pillow_heif import register_heif_opener
        register_heif_opener()
    except ImportError:
        pass
    Image.init()
    return tuple(name for name in (*_FORMATS, 'AVIF', 'HEIF') if name in Image.OPEN)


def is_avif_or_heic(content: Any) -> bool:
    """Whether the first bytes of a file, twelve or more, are of AVIF or HEIC."""
    return bytes(content[4:8]) == b'ftyp' and bytes(content[8:12]) in _BRANDS


def decode(content: bytes | np.ndarray, upright: bool = True) -> np.ndarray | None:
    """The pixels of an image file's content, ``(H, W, 3)`` uint8 in BGR order; None if it is in no known format.

    Of 16 bits the upper 8 are taken, of an animation the first frame; transparency is dropped.

    Args:
        content: All of the file.
        upright: Whether to rotate it by its stored orientation.
    """
    import cv2  # not needed to check headers only
    if is_avif_or_heic(content):
        try:
            with Image.open(io.BytesIO(content), formats=pillow_formats()) as image:
                image = ImageOps.exif_transpose(image) if upright else image
                return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1])
        except Image.UnidentifiedImageError:  # by this Pillow: OpenCV may have AVIF
            pass
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | (
        0 if upright else cv2.IMREAD_IGNORE_ORIENTATION))
