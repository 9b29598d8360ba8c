"""Read image files, folders, glob patterns, videos and cameras as one stream of frames."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data import check_images
from ..utils.errors import UserError
from ..utils.images import IMAGE_SUFFIXES, decode_image, is_clutter

__all__ = ['VIDEO_SUFFIXES', 'Frame', 'Source', 'TruncatedError', 'find_sources']

VIDEO_SUFFIXES = ('.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.mpg', '.mpeg', '.wmv', '.flv')

# FFmpeg reads it when the first file is opened. Otherwise it prints its own messages above our error.
os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')

_CAMERA = re.compile(r'(?:webcam:)?(\d+)')


class TruncatedError(UserError):
    """A video is truncated. The frames before were read."""


@dataclass(frozen=True)
class Source:
    """An image file, a video file or a camera."""

    #: The file as given, or ``webcam:0``.
    given: str
    #: Name of its outputs without suffix, unique in a run.
    name: str
    kind: str  # 'image', 'video' or 'camera'
    #: Stated number of frames; None for a camera, or if the video does not state it.
    length: int | None = 1
    #: Frames per second.
    rate: float = 0.0

    @property
    def is_video(self) -> bool:
        """Whether it has many frames, so that its output is a video."""
        return self.kind != 'image'

    def frames(self) -> Iterator[Frame]:
        """Read its frames in order.

        Raises:
            UserError: If a file is invalid; :class:`TruncatedError` after the last readable frame.
        """
        if not self.is_video:
            yield Frame(self, 0, decode_image(self.given))
            return
        number = 0
        with _capture(self.given, self.kind) as capture:
            while (image := capture.read()[1]) is not None:
                yield Frame(self, number, image)
                number += 1
        # The stated number is an estimate. A frame or two less is normal.
        if self.length is not None and number < self.length - max(2, self.length // 50):
            raise TruncatedError(f'{self.given} is truncated: it ends after {number} of {self.length} frames.')


@dataclass(frozen=True)
class Frame:
    """One image of a source."""

    source: Source
    #: Index in its source, from 0.
    number: int
    #: ``(H, W, 3)`` uint8 in BGR order.
    image: np.ndarray


def find_sources(inputs: Sequence[str | os.PathLike[str]]) -> list[Source]:
    """Find and check all images, videos and cameras, without duplicates.

    Inputs are image and video files, folders with images and videos, glob patterns, ``webcam:0`` or a number.

    Raises:
        UserError: If a file or camera is missing, corrupt, too large, empty or of an unknown kind, or if nothing is
            found.
    """
    found = list(dict.fromkeys(given for entry in inputs for given in _expand(str(entry))))
    if not found:
        below = [entry for entry in map(Path, inputs) if entry.is_dir() and any(map(Path.is_dir, entry.iterdir()))]
        hint = f'\nTo include subfolders: "{below[0]}/**/*"' if below else ''
        raise UserError(
            f'No images or videos found in {", ".join(map(str, inputs))}. Searched for '
            f'{", ".join(IMAGE_SUFFIXES + VIDEO_SUFFIXES)}.{hint}'
        )
    check_images([given for given, kind in found if kind == 'image'])
    names = _distinct([given.replace(':', '') if kind == 'camera' else Path(given).stem for given, kind in found])
    return [_opened(given, name, kind) for (given, kind), name in zip(found, names)]


def _expand(entry: str) -> list[tuple[str, str]]:
    """The files or camera of an input, each with its kind."""
    path = Path(entry)
    if path.is_dir():
        return _of_known_kind(sorted(path.iterdir()))
    if path.is_file():
        if kind := _kind(path):
            return [(entry, kind)]
        raise UserError(
            f'{entry} is neither an image nor a video: expected the suffix '
            f'{", ".join(IMAGE_SUFFIXES + VIDEO_SUFFIXES)}.'
        )
    if camera := _CAMERA.fullmatch(entry):
        return [(f'webcam:{camera[1]}', 'camera')]
    if entry.startswith('webcam'):
        raise UserError(f'{entry} is not a camera: expected webcam:0, or webcam:1 for a second one.')
    if glob.has_magic(entry):
        # If links form a loop, `**` finds each file many times. The shortest path is kept.
        matches = sorted(map(Path, glob.glob(entry, recursive=True)), key=lambda path: (len(path.parts), path))[::-1]
        if not matches:
            raise UserError(f'No files match the pattern {entry}.')
        return _of_known_kind(sorted({path.parent.resolve() / path.name: path for path in matches}.values()))
    raise UserError(
        f'File or folder not found: {entry}. Expected image or video files, folders, patterns such as '
        f'"photos/*.jpg", or webcam:0.'
    )


def _of_known_kind(files: Iterable[Path]) -> list[tuple[str, str]]:
    return [
        (str(file), kind)
        for file in files
        if (kind := _kind(file)) and file.is_file() and not is_clutter(Path(file.name))
    ]


def _kind(path: Path) -> str | None:
    suffix = path.suffix.lower()
    return 'image' if suffix in IMAGE_SUFFIXES else 'video' if suffix in VIDEO_SUFFIXES else None


def _distinct(names: Sequence[str]) -> list[str]:
    """Make names unique by adding numbers. Upper and lower case are the same, as on some file systems."""
    taken = {name.lower() for name in names}
    seen: set[str] = set()
    distinct = []
    for name in names:
        number, one = 2, name
        while one.lower() in seen or (one != name and one.lower() in taken):
            one, number = f'{name}_{number}', number + 1
        seen.add(one.lower())
        distinct.append(one)
    return distinct


def _opened(given: str, name: str, kind: str) -> Source:
    if kind == 'image':
        return Source(given, name, kind)
    import cv2  # needed only for videos

    with _capture(given, kind) as capture:
        if capture.read()[1] is None:
            raise UserError(
                f'{given} has no readable frames.'
                if kind == 'video'
                else f'{given} returns no images. Is another program using it?'
            )
        count, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
        return Source(
            given,
            name,
            kind,
            int(count) if kind == 'video' and 1 <= count < 1e9 else None,
            rate if 0 < rate <= 1000 else 25.0,
        )


@contextmanager
def _capture(given: str, kind: str) -> Iterator[Any]:
    """Open OpenCV's video reader with its messages on stderr disabled."""
    import cv2

    getattr(cv2.utils, 'logging', cv2).setLogLevel(0)  # silent; OpenCV before 5 has it elsewhere
    capture = cv2.VideoCapture(int(given.removeprefix('webcam:')) if kind == 'camera' else given)
    try:
        if not capture.isOpened():
            raise UserError(
                f'Camera {given} is missing, or this user has no permission.'
                if kind == 'camera'
                else f'{given} cannot be opened: it is truncated, not a video, or in a format that OpenCV does '
                f'not support. Try: ffmpeg -i {given} fixed.mp4'
            )
        yield capture
    finally:
        capture.release()
