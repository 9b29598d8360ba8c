"""Whether an image file is there, whole, and of which size, without decoding more than that takes; and its pixels.

Needs OpenCV and Pillow alone, for machines that run exported detectors.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from .errors import UserError

try:
    from PIL import Image
except ImportError as error:
    raise UserError('Image files are read with Pillow: pip install pillow. Arrays (H, W, 3) of uint8, as '
                    'cv2.imread returns them, do without it.') from error

__all__ = ['IMAGE_SUFFIXES', 'MAX_PIXELS', 'Look', 'decode_image', 'files_below', 'is_clutter', 'look_at',
           'look_at_all', 'read_image']

#: What a folder is searched for: what both Pillow and OpenCV read.
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.jpe', '.jfif', '.mpo', '.png', '.apng', '.bmp', '.webp', '.tif', '.tiff', '.ppm',
                  '.pgm', '.pbm', '.pnm', '.gif', '.jp2', '.j2k', '.jpc', '.jpf', '.jpx', '.j2c')

#: A header may state any size, and a file of a megabyte may fill the memory. This is Pillow's own limit, a square of
#: 13377 pixels.
MAX_PIXELS = 2 * Image.MAX_IMAGE_PIXELS

# What OpenCV reads, and so the training. Pillow would start Ghostscript for others.
_FORMATS = ('BMP', 'GIF', 'JPEG', 'JPEG2000', 'PNG', 'PPM', 'TIFF', 'WEBP')

# So many take more than a second.
_MANY = 5000

# The last bytes of a whole file.
_ENDS = {b'\xff\xd8': b'\xff\xd9', b'\x89P': b'\xaeB`\x82'}

# EXIF's orientation: OpenCV turns such an image by a quarter when it reads it.
_ORIENTATION, _QUARTER_TURNS = 0x0112, (5, 6, 7, 8)


class Look(NamedTuple):
    """What looking at an image file gave."""

    #: Width and height in pixels, as the training reads it; None where the header cannot be read.
    size: tuple[int, int] | None
    #: ``image_missing``, ``image_broken`` or ``image_too_large``; None for a whole image.
    kind: str | None = None
    #: The same in words, with the path.
    fault: str | None = None


def is_clutter(path: PurePath) -> bool:
    """Whether a system or an editor put a file there: ``._a.jpg`` and ``__MACOSX`` of macOS, ``.ipynb_checkpoints``.

    Args:
        path: The file, from the folder that was searched on; the folder itself may be called anything.
    """
    return any(part.startswith('.') or part == '__MACOSX' for part in path.parts)


def files_below(folder: str | os.PathLike, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> Iterator[Path]:
    """The files of a folder and of all folders in it, those that are links too; clutter is left out.

    Each folder is searched once, however many links lead there, and no link to a folder that it lies in is followed.

    Args:
        folder: Where to search.
        suffixes: What names end in, in lower case.
    """
    seen: set[str] = set()
    folders, links = [Path(folder)], []
    while folders or links:
        current = (folders or links).pop()
        if (real := os.path.realpath(current)) in seen:
            continue
        seen.add(real)
        with os.scandir(current) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if is_clutter(PurePath(entry.name)):
                    continue
                if entry.is_dir():
                    if not entry.is_symlink():
                        folders.append(Path(entry.path))
                    elif not f'{real}{os.sep}'.startswith(os.path.join(os.path.realpath(entry.path), '')):
                        links.append(Path(entry.path))
                elif entry.name.lower().endswith(suffixes):
                    yield Path(entry.path)


def look_at_all(paths: Iterable[str | os.PathLike]) -> list[Look]:
    """:func:`look_at` for many files, in order, with a bar where that takes seconds."""
    from tqdm import tqdm
    paths = list(paths)
    with ThreadPoolExecutor(16) as pool, warnings.catch_warnings():
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)  # half of MAX_PIXELS
        return list(tqdm(pool.map(look_at, paths), total=len(paths), desc='looking at images', unit='img', leave=False,
                         disable=len(paths) < _MANY))


def look_at(path: str | os.PathLike) -> Look:
    """Read an image's header, and its end or, where that tells nothing, its pixels.

    Args:
        path: Image file.
    """
    size = None
    name = str(path) if str(path).isprintable() else ascii(str(path))  # it may be a stranger's
    try:
        with Image.open(path, formats=_FORMATS) as image:
            turned = 'exif' in image.info and image.getexif().get(_ORIENTATION) in _QUARTER_TURNS
            size = image.size[::-1] if turned else image.size
            if not _ends_whole(path):
                # Another format, or bytes behind the picture, which some cameras write: only decoding tells.
                image.load()
    except FileNotFoundError:
        return Look(None, 'image_missing', f'{name} is missing')
    except Image.DecompressionBombError:
        return Look(None, 'image_too_large', f'{name} has more than {MAX_PIXELS} pixels')
    except Exception as error:  # a broken header raises whatever its decoder meets
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return Look(size, 'image_broken', f'{name} is truncated or no image ({reason})')
    return Look(size)


def _ends_whole(path: str | os.PathLike) -> bool:
    with open(path, 'rb') as file:
        end = _ENDS.get(file.read(2))
        if end is None:
            return False
        file.seek(-len(end), os.SEEK_END)
        return file.read() == end


def read_image(path: str | os.PathLike) -> np.ndarray:
    """An image file as an array; see :func:`decode_image`.

    Raises:
        UserError: If it is missing, truncated, no image, or too large.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)  # half of MAX_PIXELS
        fault = look_at(path).fault
    if fault:
        raise UserError(f'{fault}. Expected a whole image file.')
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
