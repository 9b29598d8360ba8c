"""Image files: whether they are there, whole and of a size that can be read, and their pixels.

Needs OpenCV and Pillow alone, so that :class:`.Detector` reads files where there is no PyTorch.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from .errors import UserError

__all__ = ['IMAGE_SUFFIXES', 'check_images', 'image_fault', 'read_image']

#: What a folder is searched for.
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm')


def read_image(path: str | os.PathLike) -> np.ndarray:
    """An image file as an array.

    Args:
        path: The file. Where it says how the camera was held, the image is turned upright, as MMDetection does.

    Returns:
        ``(H, W, 3)`` uint8; blue, green, red.

    Raises:
        UserError: If it is missing, truncated, no image, or too large.
    """
    import cv2
    path = Path(path)
    if not path.is_file():
        raise UserError(f'There is no image {path}.')
    if fault := image_fault(path):
        raise UserError(f'{fault}.')
    # Not imread: it reads no names beyond ASCII on Windows.
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f'{path} is in a format that OpenCV does not read. Save it as .jpg or .png.')
    return image


def check_images(paths: Sequence[str | os.PathLike]) -> None:
    """Look whether image files are there and whole.

    Args:
        paths: Image files.

    Raises:
        UserError: Naming the first few that are missing or truncated.
    """
    with ThreadPoolExecutor(16) as pool:
        faults = [fault for fault in pool.map(image_fault, paths) if fault]
    if faults:
        more = f' and {len(faults) - 3} more' if len(faults) > 3 else ''
        raise UserError(f'{len(faults)} of {len(paths)} images cannot be read: {"; ".join(faults[:3])}{more}.\n'
                        f'Fetch them again, or take them out of the annotation file.')


# The last bytes of a whole file.
_ENDS = {b'\xff\xd8': b'\xff\xd9', b'\x89P': b'\xaeB`\x82'}


def image_fault(path: str | os.PathLike) -> str | None:
    """What is wrong with an image file, starting with its path; None if it is whole.

    Only the header of a file that begins and ends as a JPEG or PNG file does is read, others are decoded. More pixels
    than Pillow's limit against decompression bombs (179 million) are a fault, and never decoded.
    """
    from PIL import Image
    try:
        with Image.open(path) as image:
            if not _ends_well(path):  # or bytes stand behind the picture, which some cameras write
                image.load()
    except FileNotFoundError:
        return f'{path} is missing'
    except Image.DecompressionBombError as error:
        return f'{path} is too large ({error})'
    except (OSError, SyntaxError, ValueError) as error:
        return f'{path} is truncated or no image ({str(error).splitlines()[0]})'
    return None


def _ends_well(path: str | os.PathLike) -> bool:
    with open(path, 'rb') as file:
        end = _ENDS.get(file.read(2))
        if end is None:
            return False
        file.seek(-len(end), os.SEEK_END)
        return file.read() == end
