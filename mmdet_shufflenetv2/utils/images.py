"""Whether an image file is there, whole, and of which size, without decoding more than that takes; and its pixels.

Needs OpenCV and Pillow alone, for machines that run exported detectors.
"""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO, NamedTuple

import numpy as np

from .errors import UserError

try:
    from PIL import Image, ImageFile
except ImportError as error:
    raise UserError('Image files are read with Pillow: pip install pillow. Arrays (H, W, 3) of uint8, as '
                    'cv2.imread returns them, do without it.') from error

__all__ = ['IMAGE_SUFFIXES', 'MAX_PIXELS', 'ImageCheck', 'check_image_file', 'check_image_files', 'decode_image',
           'files_below', 'is_clutter', 'printable', 'read_image']

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

# EXIF's orientation: such an image is turned by a quarter when it is read.
_ORIENTATION, _QUARTER_TURNS = 0x0112, (5, 6, 7, 8)
# Of sides that differ by less, one of eight pixels may not tell the longer.
_TELLING = 16


class ImageCheck(NamedTuple):
    """What looking at an image file gave."""

    #: Width and height in pixels, as the training reads it; None where the header cannot be read.
    size: tuple[int, int] | None
    #: ``image_missing``, ``image_broken`` or ``image_too_large``; None for a whole image.
    kind: str | None = None
    #: The same in words, with the path.
    fault: str | None = None


def is_clutter(path: PurePath) -> bool:
    """Whether a system or an editor put a file there: ``._a.jpg`` and ``__MACOSX`` of macOS, ``.ipynb_checkpoints``.

    ``path`` starts in the folder that was searched, which itself may be called anything.
    """
    return any(part.startswith('.') or part == '__MACOSX' for part in path.parts)


def files_below(folder: str | os.PathLike, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> Iterator[Path]:
    """The files of a folder and of all folders in it, those that are links too; clutter is left out.

    Each folder is searched once, however many links lead there, and no link to a folder that it lies in is followed.
    ``suffixes`` is what names end in, in lower case.
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


def printable(path: str | os.PathLike) -> str:
    """A path for a message; its name may be a stranger's."""
    return str(path) if str(path).isprintable() else ascii(str(path))


def check_image_files(paths: Iterable[str | os.PathLike], backend: str = 'cv2',
                      upright: bool = True) -> list[ImageCheck]:
    """:func:`check_image_file` for many files, in order, with a bar where that takes seconds."""
    from tqdm import tqdm  # exported detectors run without it
    paths = list(paths)
    with ThreadPoolExecutor(16) as pool, warnings.catch_warnings(), _strict():
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)  # half of MAX_PIXELS
        return list(tqdm(pool.map(lambda path: check_image_file(path, backend, upright), paths), total=len(paths),
                         desc='looking at images', unit='img', leave=False, disable=len(paths) < _MANY))


def check_image_file(path: str | os.PathLike, backend: str = 'cv2', upright: bool = True) -> ImageCheck:
    """Read an image's header, and its end or, where that tells nothing, its pixels.

    What will decode the image decides whether it is fit, and whether its sides are exchanged: OpenCV reads files whose
    metadata Pillow refuses, and the orientation from EXIF alone, where Pillow takes it from XMP too.

    Args:
        path: Image file.
        backend: What will decode it, as mmcv calls it: ``cv2``, ``pillow``, ``turbojpeg`` or ``tifffile``.
        upright: Whether that turns the image as the file says that the camera was held.
    """
    size = None
    name = printable(path)
    try:
        with _strict(), Image.open(path, formats=_FORMATS) as image:
            size = _decoded_size(path, image, backend, upright)
            if not _ends_whole(path):
                # Another format, or bytes behind the picture, which some cameras write: only decoding tells.
                image.load()
    except FileNotFoundError:
        return ImageCheck(None, 'image_missing', f'{name} is missing')
    except Image.DecompressionBombError:
        return ImageCheck(None, 'image_too_large', f'{name} has more than {MAX_PIXELS} pixels')
    except Exception as error:  # a broken header raises whatever its decoder meets
        decoded = _decoded_anyway(path, upright) if backend == 'cv2' else None
        if decoded is None:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            return ImageCheck(size, 'image_broken', f'{name} is truncated or no image ({reason})')
        size = decoded
        if size[0] * size[1] > MAX_PIXELS:
            return ImageCheck(None, 'image_too_large', f'{name} has more than {MAX_PIXELS} pixels')
    return ImageCheck(size)


@contextmanager
def _strict() -> Iterator[None]:
    """Have Pillow refuse truncated files, whatever was set elsewhere."""
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _decoded_size(path: str | os.PathLike, image: Image.Image, backend: str, upright: bool) -> tuple[int, int]:
    """Width and height of an opened image once it is decoded; OpenCV is asked where it may exchange them."""
    if backend == 'pillow':
        if image.format == 'TIFF' and _may_be_turned(path, image):
            image.load()  # turns it, whatever is asked for
        return image.size[::-1] if upright and image.getexif().get(_ORIENTATION) in _QUARTER_TURNS else image.size
    asked = backend == 'cv2' and (upright or image.format == 'TIFF')  # OpenCV turns a TIFF in any case
    if not asked or not _may_be_turned(path, image):
        return image.size
    width, height = image.size
    quick = image.format == 'JPEG' and abs(width - height) >= _TELLING
    shape = _decode(path, upright, reduced=quick)
    if shape is None:
        return image.size
    return ((width, height) if (width > height) == (shape[0] > shape[1]) else (height, width)) if quick else shape


def _may_be_turned(path: str | os.PathLike, image: Image.Image) -> bool:
    if image.format == 'PNG':
        with open(path, 'rb') as file:
            return any(kind == b'eXIf' for kind, _ in _png_chunks(file))
    try:
        return (image.format == 'TIFF' or 'exif' in image.info) and (
            image.getexif().get(_ORIENTATION) in _QUARTER_TURNS)
    except Exception:  # whatever a parser meets in strange metadata
        return True


def _decoded_anyway(path: str | os.PathLike, upright: bool) -> tuple[int, int] | None:
    """Width and height of a whole file that Pillow refuses and OpenCV decodes."""
    try:
        with open(path, 'rb') as file:
            start = file.read(2)
            if start == b'\x89P' and not _is_whole_png(file):
                return None
        # OpenCV decodes a part of a truncated JPEG, without a word.
        return None if start == b'\xff\xd8' and not _ends_whole(path) else _decode(path, upright)
    except (OSError, ValueError):  # a name that no file can have
        return None


def _decode(path: str | os.PathLike, upright: bool, reduced: bool = False) -> tuple[int, int] | None:
    """Width and height as OpenCV decodes them, or about an eighth of each; None where it does not."""
    import cv2  # who only looks at files' headers needs none
    log = getattr(cv2.utils, 'logging', cv2)  # releases before 5 have it elsewhere
    level = log.setLogLevel(0)
    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), (
            cv2.IMREAD_REDUCED_COLOR_8 if reduced else cv2.IMREAD_COLOR) | (
            0 if upright else cv2.IMREAD_IGNORE_ORIENTATION))
    except cv2.error:
        return None
    finally:
        log.setLogLevel(level)
    return None if image is None else image.shape[1::-1]


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Kind and length of each chunk, with the file at the first byte behind its header."""
    place = 8
    while len(header := (file.seek(place), file.read(8))[1]) == 8:
        length, kind = struct.unpack('>I4s', header)
        yield kind, length
        place += length + 12


def _is_whole_png(file: BinaryIO) -> bool:
    """Whether all of the image's own chunks are there as they were written, and not too large to be decoded."""
    for kind, length in _png_chunks(file):
        if kind[:1].isupper():
            content = file.read(length)
            if file.read(4) != struct.pack('>I', zlib.crc32(kind + content)):
                return False
            if kind == b'IHDR' and np.prod(struct.unpack('>II', content[:8]), dtype=float) > MAX_PIXELS:
                return False
            if kind == b'IEND':
                return True
    return False


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
        fault = check_image_file(path).fault
    if fault:
        raise UserError(f'{fault}. Expected a whole image file.')
    return decode_image(path)


def decode_image(path: str | os.PathLike) -> np.ndarray:
    """The pixels of an image file that is known to be whole: ``(H, W, 3)`` uint8; blue, green, red.

    Where the file says how the camera was held, the image is turned upright, as MMDetection does.

    Raises:
        UserError: If OpenCV does not know its format.
    """
    import cv2
    # Not imread: it reads no names beyond ASCII on Windows.
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f'{path} is in a format that OpenCV does not read. Save it as .jpg or .png.')
    return image
