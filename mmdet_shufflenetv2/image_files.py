"""Reading an image file. Needs OpenCV and Pillow alone, for machines that run exported detectors."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np

from .errors import UserError

__all__ = ['IMAGE_SUFFIXES', 'decode_image', 'read_image']

#: What a folder is searched for.
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm')


def read_image(path: str | os.PathLike) -> np.ndarray:
    """An image file as an array; see :func:`decode_image`.

    Pillow looks at it first: it refuses more than 179 million pixels by the header alone, and tells a truncated file,
    which OpenCV fills with grey.

    Raises:
        UserError: If it is missing, truncated, no image, or too large.
    """
    from PIL import Image
    path = Path(path)
    if not path.is_file():
        raise UserError(f'There is no image {path}.')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)  # of half that size
        try:
            with Image.open(path) as image:
                image.load()
        except Image.DecompressionBombError as error:
            raise UserError(f'{path} is too large: {str(error).split(",")[0]}. Scale it down or cut it into '
                            f'tiles.') from None
        except (OSError, SyntaxError, ValueError) as error:
            raise UserError(f'{path} is truncated or no image ({str(error).splitlines()[0]}).') from None
    return decode_image(path)


def decode_image(path: str | os.PathLike) -> np.ndarray:
    """The pixels of an image file that is known to be whole.

    Args:
        path: The file. Where it says how the camera was held, the image is turned upright, as MMDetection does.

    Returns:
        ``(H, W, 3)`` uint8; blue, green, red.

    Raises:
        UserError: If OpenCV does not know its format.
    """
    import cv2
    # Not imread: it reads no names beyond ASCII on Windows.
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f'{path} is in a format that OpenCV does not read. Save it as .jpg or .png.')
    return image
