"""Save detections: drawn images and videos, COCO JSON, YOLO txt and CSV. Pre-labels are in ``label_savers``.

Each frame is written immediately, because an hour of video does not fit in memory. Each saver is a context manager:
a file with many frames replaces an older file when the context ends without an error, and is removed otherwise.
"""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..config.detector import category_ids
from ..utils.errors import UserError
from ..utils.files import to_json, unfinished_file, write_atomically
from ..visualization import class_color, draw_boxes
from .detector import Detector
from .label_savers import CvatSaver, LabelMeSaver, VocSaver
from .objects import Objects
from .sources import Frame, Source

__all__ = ['FORMATS', 'CocoSaver', 'CsvSaver', 'DrawingSaver', 'YoloSaver']

#: Drawn images keep these formats. OpenCV writes others with losses or not at all, so they become .png.
_DRAWN_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp')


class DrawingSaver(ExitStack):
    """``vis/``: drawn images, and an .mp4 for each video and camera.

    Each tracked object has its own color, otherwise each class. Polygons ``(K, 2)`` are drawn, too.

    Raises:
        UserError: If a figure would overwrite an input.
        OSError: If ``vis`` cannot be written, or a folder has the name of a figure.
    """

    def __init__(
        self, out_dir: Path, sources: Sequence[Source], detector: Detector, polygons: Sequence[np.ndarray] = ()
    ) -> None:
        super().__init__()
        self.path = out_dir / 'vis'
        self._classes = detector.classes
        self._polygons = [polygon.round().astype(np.int32) for polygon in polygons]
        self._video: tuple[Source, cv2.VideoWriter, tuple[int, int]] | None = None
        inputs = {_identity(Path(source.given)) for source in sources if source.kind != 'camera'}
        for source in sources:
            if (figure := self._figure(source)).exists() and _identity(figure) in inputs:
                raise UserError(
                    f'The figure of {source.given} would overwrite the input {figure}. Choose another '
                    f'folder: out_dir=DIR.'
                )
            if figure.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(figure))
        self.path.mkdir(exist_ok=True)

    def write(self, frame: Frame, found: Objects) -> None:
        """Draw a frame. ``found`` are the objects to draw."""
        names = [
            f'{f"#{number} " if number >= 0 else ""}{self._classes[label]} {score:.2f}'
            for _, score, label, number in zip(*found)
        ]
        colors = [class_color(int(label if number < 0 else number)) for label, number in zip(found.labels, found.ids)]
        drawn = draw_boxes(frame.image, found.boxes, names, colors)
        if self._polygons:
            drawn = cv2.polylines(
                np.ascontiguousarray(drawn), self._polygons, True, (255, 255, 255), max(2, max(drawn.shape) // 320)
            )
        if frame.source.is_video:
            self._write_video(frame, drawn)
        else:
            figure = self._figure(frame.source)
            write_atomically(figure, cv2.imencode(figure.suffix, drawn)[1].tobytes(), sync=False)

    def _figure(self, source: Source) -> Path:
        suffix = '.mp4' if source.is_video else Path(source.given).suffix
        return self.path / f'{source.name}{suffix if suffix.lower() in (*_DRAWN_SUFFIXES, ".mp4") else ".png"}'

    def _write_video(self, frame: Frame, drawn: np.ndarray) -> None:
        size = drawn.shape[1], drawn.shape[0]
        if self._video is None or self._video[0] is not frame.source:
            self.close()  # finishes the previous video
            path = self._figure(frame.source)
            unfinished = self.enter_context(unfinished_file(path))
            writer = cv2.VideoWriter(str(unfinished), cv2.VideoWriter.fourcc(*'mp4v'), frame.source.rate, size)
            self.callback(writer.release)
            if not writer.isOpened():
                raise UserError(
                    f'{path} cannot be written: OpenCV has no encoder for it, or the folder is not writable.'
                )
            self._video = frame.source, writer, size
        _, writer, first_size = self._video
        # The frame size of a stream can change, but not that of a file.
        writer.write(np.ascontiguousarray(drawn if size == first_size else cv2.resize(drawn, first_size)))


class CocoSaver(ExitStack):
    """``results.json``: a list of detections in COCO's results format.

    Each has ``image_id``, ``category_id``, ``bbox`` (x, y, width, height in pixels), ``score``, ``file_name`` and
    ``category``. Those of a video also have ``frame`` (from 0), and tracked objects ``track_id``. Detections below the
    threshold are included, because the evaluation needs them. If all file names are numbers, as in COCO, these are the
    ``image_id``. Otherwise frames are counted from 1.
    """

    def __init__(self, out_dir: Path, sources: Sequence[Source], detector: Detector) -> None:
        super().__init__()
        self.path = out_dir / 'results.json'
        self._classes = detector.classes
        self._ids = detector.category_ids or category_ids(detector.classes)
        stems = [Path(source.given).stem for source in sources]
        self._named = all(not source.is_video and stem.isdecimal() for source, stem in zip(sources, stems)) and len(
            {int(stem) for stem in stems}
        ) == len(stems)
        self._frames = self._written = 0
        unfinished = self.enter_context(unfinished_file(self.path))
        self._file = self.enter_context(unfinished.open('w', encoding='utf-8'))
        self._file.write('[')
        self.callback(self._file.write, '\n]\n')

    def write(self, frame: Frame, found: Objects) -> None:
        self._frames += 1
        path = Path(frame.source.given)
        about: dict[str, Any] = dict(file_name=path.name)
        if frame.source.is_video:
            about['frame'] = frame.number
        for (x1, y1, x2, y2), score, label, number in zip(*(part.tolist() for part in found)):
            followed = dict(track_id=number) if number >= 0 else {}
            self._file.write(
                (',\n' if self._written else '\n')
                + to_json(
                    dict(
                        image_id=int(path.stem) if self._named else self._frames,
                        category_id=self._ids[label],
                        bbox=[x1, y1, x2 - x1, y2 - y1],
                        score=score,
                        category=self._classes[label],
                        **about,
                        **followed,
                    )
                )
            )
            self._written += 1


class YoloSaver(ExitStack):
    """``yolo/``: ``classes.txt``, and in ``labels/`` one text file per image. A video has a folder with one per frame.

    One line per object: class id, center x and y, width and height as fractions of the image, score, and the id of a
    tracked object.
    """

    def __init__(self, out_dir: Path, sources: Sequence[Source], detector: Detector) -> None:
        super().__init__()
        self.path = out_dir / 'yolo'
        (self.path / 'labels').mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / 'classes.txt', ''.join(f'{name}\n' for name in detector.classes))

    def write(self, frame: Frame, found: Objects) -> None:
        height, width = frame.image.shape[:2]
        x1, y1, x2, y2 = (found.boxes / np.array([width, height] * 2)).T
        centered = np.stack([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, found.scores], axis=1)
        path = self.path / 'labels' / frame.source.name
        if frame.source.is_video:
            path.mkdir(exist_ok=True)
            path /= f'{frame.number:06d}'
        lines = [
            f'{label} {" ".join(f"{value:.6g}" for value in row)}{f" {number}" if number >= 0 else ""}\n'
            for label, row, number in zip(found.labels, centered, found.ids)
        ]
        write_atomically(f'{path}.txt', ''.join(lines), sync=False)


class CsvSaver(ExitStack):
    """``results.csv``: one line per object, with a header."""

    def __init__(self, out_dir: Path, sources: Sequence[Source], detector: Detector) -> None:
        super().__init__()
        self.path = out_dir / 'results.csv'
        self._classes = detector.classes
        unfinished = self.enter_context(unfinished_file(self.path))
        self._writer = csv.writer(self.enter_context(unfinished.open('w', newline='', encoding='utf-8')))
        self._writer.writerow(['source', 'frame', 'class', 'score', 'x1', 'y1', 'x2', 'y2', 'track_id'])

    def write(self, frame: Frame, found: Objects) -> None:
        for box, score, label, number in zip(*(part.tolist() for part in found)):
            self._writer.writerow(
                [
                    frame.source.given,
                    frame.number,
                    self._classes[label],
                    f'{score:.4f}',
                    *(f'{value:.2f}' for value in box),
                    number if number >= 0 else '',
                ]
            )


#: ``--save`` -> the saver, and whether it also gets detections below the threshold.
FORMATS: dict[str, tuple[Callable[[Path, Sequence[Source], Detector], Any], bool]] = {
    'coco': (CocoSaver, True),
    'yolo': (YoloSaver, False),
    'csv': (CsvSaver, False),
    'voc': (VocSaver, False),
    'cvat': (CvatSaver, False),
    'labelme': (LabelMeSaver, False),
}


def _identity(path: Path) -> tuple[int, int]:
    """The identity of a file, also through links."""
    about = path.stat()
    return about.st_dev, about.st_ino
