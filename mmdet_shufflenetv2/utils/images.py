"""Checking image files for existence, completeness and size with as little decoding as possible, and reading them.

Needs only OpenCV and Pillow, so that it also works on machines that run exported detectors.
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

    from .image_decoding import decode, is_avif_or_heic, pillow_formats
except ImportError as error:
    raise UserError(
        'Pillow is not installed; it is needed to read image files: pip install pillow. Or pass an array '
        '(H, W, 3) of uint8, as cv2.imread returns it.'
    ) from error

__all__ = [
    'IMAGE_SUFFIXES',
    'MAX_PIXELS',
    'ImageCheck',
    'check_image_file',
    'check_image_files',
    'decode_image',
    'files_below',
    'is_clutter',
    'printable',
    'read_image',
]

#: Image files that a folder is searched for: those that both Pillow and OpenCV read, AVIF and HEIC.
IMAGE_SUFFIXES = (
    '.jpg',
    '.jpeg',
    '.jpe',
    '.jfif',
    '.mpo',
    '.png',
    '.apng',
    '.bmp',
    '.webp',
    '.tif',
    '.tiff',
    '.ppm',
    '.pgm',
    '.pbm',
    '.pnm',
    '.gif',
    '.jp2',
    '.j2k',
    '.jpc',
    '.jpf',
    '.jpx',
    '.j2c',
    '.avif',
    '.avifs',
    '.heic',
    '.heics',
    '.heif',
    '.heifs',
    '.hif',
)

#: Largest image that is decoded. A header may state any size, so that a file of a megabyte can fill the memory. This is
#: Pillow's own limit, a square of 13377 pixels.
MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 89_478_485)  # None if the limit was switched off

# Number of images from which a check takes more than a second and shows a progress bar.
_MANY = 5000

# First bytes of a format -> last bytes of a complete file.
_ENDS = {b'\xff\xd8': b'\xff\xd9', b'\x89P': b'\xaeB`\x82'}

# Pillow's modes with 32 bits per sample; OpenCV does not read some of these files.
_WIDE = ('F', 'I')

# EXIF tag of the orientation, and its values for a rotation by 90 degrees.
_ORIENTATION, _QUARTER_TURNS = 0x0112, (5, 6, 7, 8)
# If the sides differ by less, an image reduced by 8 may not show which one is longer.
_MIN_DIFFERENCE = 16


class ImageCheck(NamedTuple):
    """Result of checking an image file."""

    #: Width and height in pixels, as training reads it; None if the header cannot be read.
    size: tuple[int, int] | None
    #: ``image_missing``, ``image_broken`` or ``image_too_large``; None for a valid image.
    kind: str | None = None
    #: Message about the problem, with the path.
    fault: str | None = None


def is_clutter(path: PurePath) -> bool:
    """Whether the system or an editor created a file: ``._a.jpg`` and ``__MACOSX`` of macOS, ``.ipynb_checkpoints``.

    ``path`` is relative to the folder that is searched.
    """
    return any(part.startswith('.') or part == '__MACOSX' for part in path.parts)


def files_below(folder: str | os.PathLike[str], suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> Iterator[Path]:
    """The files of a folder and its subfolders, including links; files of :func:`is_clutter` are skipped.

    Each folder is searched once, even if several links lead to it. Links to a parent folder are not followed.
    ``suffixes`` are in lower case.
    """
    seen: set[str] = set()
    folders, links = [Path(folder)], list[Path]()
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


def printable(path: str | os.PathLike[str]) -> str:
    """A path for a message, with unprintable characters escaped."""
    return str(path) if str(path).isprintable() else ascii(str(path))


def check_image_files(
    paths: Iterable[str | os.PathLike[str]], backend: str = 'cv2', upright: bool = True
) -> list[ImageCheck]:
    """:func:`check_image_file` for many files, in order. Shows a progress bar if there are many."""
    from tqdm import tqdm  # exported detectors run without it

    paths = list(paths)
    with ThreadPoolExecutor(16) as pool, warnings.catch_warnings(), _strict():
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)  # half of MAX_PIXELS
        return list(
            tqdm(
                pool.map(lambda path: check_image_file(path, backend, upright), paths),
                total=len(paths),
                desc='checking images',
                unit='img',
                leave=False,
                disable=len(paths) < _MANY,
            )
        )


def check_image_file(path: str | os.PathLike[str], backend: str = 'cv2', upright: bool = True) -> ImageCheck:
    """Check an image by its header and its last bytes or, for other formats, by decoding it.

    The decoder determines whether a file is valid and whether width and height are swapped: OpenCV reads files whose
    metadata Pillow rejects, and takes the orientation from EXIF only, Pillow from XMP too.

    Args:
        path: Image file.
        backend: Decoder by mmcv's name: ``cv2``, ``pillow``, ``turbojpeg`` or ``tifffile``.
        upright: Whether the decoder rotates the image by its stored orientation.
    """
    size = None
    name = printable(path)
    try:
        with _strict(), Image.open(path, formats=pillow_formats()) as image:
            size = _decoded_size(path, image, backend, upright)
            if not _is_complete(path):
                # Another format, or extra bytes after the image, which some cameras write: it has to be decoded.
                image.load()
            if image.mode in _WIDE and backend == 'cv2' and _decode(path, upright) is None:
                raise ValueError('OpenCV does not read samples of 32 bits: save it with 8 or 16')
    except FileNotFoundError:
        return ImageCheck(None, 'image_missing', f'{name} is missing')
    except Image.DecompressionBombError:
        return ImageCheck(None, 'image_too_large', f'{name} has more than {MAX_PIXELS} pixels')
    except Exception as error:  # a corrupt header can raise anything
        decoded = _decoded_anyway(path, upright) if backend == 'cv2' else None
        if decoded is None:
            reason = _missing_plugin(path) or (str(error).splitlines() or [type(error).__name__])[0]
            return ImageCheck(size, 'image_broken', f'{name} is truncated or not an image ({reason})')
        size = decoded
        if size[0] * size[1] > MAX_PIXELS:
            return ImageCheck(None, 'image_too_large', f'{name} has more than {MAX_PIXELS} pixels')
    return ImageCheck(size)


def _missing_plugin(path: str | os.PathLike[str]) -> str:
    """What to install to read an image; empty if nothing is missing."""
    try:
        with open(path, 'rb') as file:
            start = file.read(12)
    except (OSError, ValueError):  # ValueError: an invalid file name
        return ''
    avif = start[8:11] == b'avi'
    if not is_avif_or_heic(start) or ('AVIF' if avif else 'HEIF') in pillow_formats():
        return ''
    return 'AVIF needs a later Pillow: pip install -U pillow' if avif else 'HEIC needs: pip install pillow-heif'


@contextmanager
def _strict() -> Iterator[None]:
    """Make Pillow reject truncated files, whatever is set elsewhere."""
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _decoded_size(path: str | os.PathLike[str], image: Image.Image, backend: str, upright: bool) -> tuple[int, int]:
    """Width and height of an opened image after decoding. OpenCV decodes it if it may swap them."""
    if backend == 'pillow' or image.format in ('AVIF', 'HEIF'):
        if image.format == 'TIFF' and _may_be_rotated(path, image):
            image.load()  # rotates it in any case
        width, height = image.size
        return (height, width) if upright and image.getexif().get(_ORIENTATION) in _QUARTER_TURNS else (width, height)
    rotates = backend == 'cv2' and (upright or image.format == 'TIFF')  # OpenCV rotates a TIFF in any case
    if not rotates or not _may_be_rotated(path, image):
        return image.size
    width, height = image.size
    quick = image.format == 'JPEG' and abs(width - height) >= _MIN_DIFFERENCE
    shape = _decode(path, upright, reduced=quick)
    if shape is None:
        return image.size
    return ((width, height) if (width > height) == (shape[0] > shape[1]) else (height, width)) if quick else shape


def _may_be_rotated(path: str | os.PathLike[str], image: Image.Image) -> bool:
    if image.format == 'PNG':
        with open(path, 'rb') as file:
            return any(kind == b'eXIf' for kind, _ in _png_chunks(file))
    try:
        return (image.format == 'TIFF' or 'exif' in image.info) and (
            image.getexif().get(_ORIENTATION) in _QUARTER_TURNS
        )
    except Exception:  # unusual metadata can raise anything
        return True


def _decoded_anyway(path: str | os.PathLike[str], upright: bool) -> tuple[int, int] | None:
    """Width and height of a complete file that Pillow rejects and OpenCV decodes; None if OpenCV does not."""
    try:
        with open(path, 'rb') as file:
            start = file.read(2)
            if start == b'\x89P' and not _is_complete_png(file):
                return None
        # OpenCV silently decodes a part of a truncated JPEG.
        return None if start == b'\xff\xd8' and not _is_complete(path) else _decode(path, upright)
    except (OSError, ValueError):  # ValueError: an invalid file name
        return None


def _decode(path: str | os.PathLike[str], upright: bool, reduced: bool = False) -> tuple[int, int] | None:
    """Width and height as OpenCV decodes the image, with ``reduced`` about an eighth of them; None if it cannot."""
    import cv2  # not needed to check headers only

    log = getattr(cv2.utils, 'logging', cv2)  # releases before 5 have it elsewhere
    level = log.setLogLevel(0)
    try:
        content = np.fromfile(path, np.uint8)
        image = cv2.imdecode(content, cv2.IMREAD_REDUCED_COLOR_8) if reduced else decode(content, upright)
    except Exception:  # a corrupt file can raise anything
        return None
    finally:
        log.setLogLevel(level)
    return None if image is None else (image.shape[1], image.shape[0])


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Type and length of each chunk, with the file at the first byte after the chunk's header."""
    position = 8
    while len(header := (file.seek(position), file.read(8))[1]) == 8:
        length, kind = struct.unpack('>I4s', header)
        yield kind, length
        position += length + 12


def _is_complete_png(file: BinaryIO) -> bool:
    """Whether all critical chunks are there with correct checksums, and the image is not too large to be decoded."""
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


def _is_complete(path: str | os.PathLike[str]) -> bool:
    with open(path, 'rb') as file:
        end = _ENDS.get(file.read(2))
        if end is None:
            return False
        file.seek(-len(end), os.SEEK_END)
        return file.read() == end


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an image file as an array; see :func:`decode_image`.

    Raises:
        UserError: If it is missing, truncated, not an image, or too large.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)  # half of MAX_PIXELS
        fault = check_image_file(path).fault
    if fault:
        raise UserError(f'{fault}. Expected a complete image file.')
    return decode_image(path)


def decode_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Decode an image file that is known to be valid: ``(H, W, 3)`` uint8 in BGR order.

    The image is rotated by its stored orientation, as in MMDetection.

    Raises:
        UserError: If OpenCV does not support its format.
    """
    # Not imread: on Windows it cannot read names with non-ASCII characters.
    image = decode(np.fromfile(path, np.uint8))
    if image is None:
        raise UserError(f'{path} has a format that OpenCV does not support. Save it as .jpg or .png.')
    return image
