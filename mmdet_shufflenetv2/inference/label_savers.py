"""Save detections as pre-labels: data sets with images that labeling tools can open.

``--data`` and ``snv2 convert`` can read them, too. Scores, and boxes of a pixel or less, are not saved.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import cv2

from ..data.conversion.target import WrittenBox
from ..data.conversion.to_voc import voc_xml
from ..utils.files import unfinished_file, write_atomically, write_json
from .detector import Detector
from .objects import Objects
from .sources import Frame, Source

__all__ = ['CvatSaver', 'LabelMeSaver', 'VocSaver']

_SMALLEST = 1.0


class _LabelSaver(ExitStack, ABC):
    """Copies each image, and writes each frame of a video as an image."""

    #: Name of the folder in ``out_dir``, and of the folder of images in it.
    folder: str
    images: str

    def __init__(self, out_dir: Path, sources: Sequence[Source], detector: Detector) -> None:
        super().__init__()
        self.path = out_dir / self.folder
        self._classes = detector.classes
        self._names = {source.name.lower() for source in sources}
        (self.path / self.images).mkdir(parents=True, exist_ok=True)
        # The formats do not store the order of the classes.
        write_atomically(self.path / 'classes.txt', ''.join(f'{name}\n' for name in detector.classes))

    def write(self, frame: Frame, found: Objects) -> None:
        """Write a frame and its labels. ``found`` are the objects to label."""
        name = self._copy(frame)
        boxes = [
            WrittenBox(self._classes[label], tuple(round(value, 2) for value in box), False)
            for box, label in zip(found.boxes.tolist(), found.labels)
            if min(box[2] - box[0], box[3] - box[1]) > _SMALLEST
        ]
        self._write_labels(name, frame.image.shape[1], frame.image.shape[0], boxes)

    def _copy(self, frame: Frame) -> str:
        folder = self.path / self.images
        if not frame.source.is_video:
            name = frame.source.name + Path(frame.source.given).suffix
            shutil.copyfile(frame.source.given, folder / name)
            return name
        name = f'{frame.source.name}_{frame.number:06d}'
        while name.lower() in self._names:
            name += '_'
        encoded = cv2.imencode('.jpg', frame.image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
        write_atomically(folder / f'{name}.jpg', encoded.tobytes(), sync=False)
        return f'{name}.jpg'

    @abstractmethod
    def _write_labels(self, name: str, width: int, height: int, boxes: list[WrittenBox]) -> None:
        """Write the labels of one image."""


class VocSaver(_LabelSaver):
    """``voc/``: Pascal VOC's ``JPEGImages/`` and ``Annotations/``."""

    folder, images = 'voc', 'JPEGImages'

    def __init__(self, out_dir: Path, sources: Sequence[Source], detector: Detector) -> None:
        super().__init__(out_dir, sources, detector)
        (self.path / 'Annotations').mkdir(exist_ok=True)

    def _write_labels(self, name: str, width: int, height: int, boxes: list[WrittenBox]) -> None:
        counted_from_one = [
            box._replace(corners=(box.corners[0] + 1, box.corners[1] + 1, *box.corners[2:])) for box in boxes
        ]
        write_atomically(
            self.path / 'Annotations' / f'{Path(name).stem}.xml',
            voc_xml(name, dict(width=width, height=height), counted_from_one),
            sync=False,
        )


class CvatSaver(_LabelSaver):
    """``cvat/``: ``annotations.xml`` of CVAT for images 1.1, and ``images/``."""

    folder, images = 'cvat', 'images'

    def __init__(self, out_dir: Path, sources: Sequence[Source], detector: Detector) -> None:
        super().__init__(out_dir, sources, detector)
        self._count = 0
        unfinished = self.enter_context(unfinished_file(self.path / 'annotations.xml'))
        self._file = self.enter_context(unfinished.open('w', encoding='utf-8'))
        labels = ''.join(f'<label><name>{escape(name)}</name><attributes/></label>' for name in detector.classes)
        self._file.write(
            f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
            f'<meta><task><labels>{labels}</labels></task></meta>\n'
        )
        self.callback(self._file.write, '</annotations>\n')

    def _write_labels(self, name: str, width: int, height: int, boxes: list[WrittenBox]) -> None:
        lines = [
            f'  <box label={quoteattr(box.name)} source="auto" occluded="0" z_order="0" '
            + ' '.join(f'{key}="{value}"' for key, value in zip(('xtl', 'ytl', 'xbr', 'ybr'), box.corners))
            + '/>\n'
            for box in boxes
        ]
        self._file.write(
            f'<image id="{self._count}" name={quoteattr(name)} width="{width}" height="{height}">\n'
            f'{"".join(lines)}</image>\n'
        )
        self._count += 1


class LabelMeSaver(_LabelSaver):
    """``labelme/``: each image with a ``.json`` file next to it."""

    folder, images = 'labelme', '.'

    def _write_labels(self, name: str, width: int, height: int, boxes: list[WrittenBox]) -> None:
        shapes: list[dict[str, Any]] = [
            dict(
                label=box.name,
                points=[box.corners[:2], box.corners[2:]],
                group_id=None,
                description='',
                shape_type='rectangle',
                flags={},
            )
            for box in boxes
        ]
        write_json(
            self.path / f'{Path(name).stem}.json',
            dict(
                version='5.5.0',
                flags={},
                shapes=shapes,
                imagePath=name,
                imageData=None,
                imageHeight=height,
                imageWidth=width,
            ),
        )
