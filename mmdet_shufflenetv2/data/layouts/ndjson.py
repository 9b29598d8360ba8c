"""Ultralytics NDJSON: one line with the class names, then one line per image with coordinates as in YOLO."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ..problems import shown
from .description import Format, UserDataset, split_named
from .label_files import LabelFileError, find_label_files
from .labelled import Box, Corners, Image, Labels, corners_of_points, float_of

__all__ = ['NDJSON']

_NAME = 'Ultralytics NDJSON'
# The first four numbers of boxes and poses are the box. The numbers of the other kinds are points.
_KINDS = ('boxes', 'pose', 'segments', 'obb')


def _read(root: Path, files: list[Path]) -> UserDataset:
    labels = Labels(_NAME, root)
    for path, lines in labels.read_each(files):
        names: dict[int, str] = {}
        for number, record in lines:
            where = f'{path}:{number}'
            kind = record.get('type') if isinstance(record, dict) else None
            if kind == 'dataset':
                names = _class_names(record.get('class_names'))
                labels.classes = list(dict.fromkeys([*(labels.classes or ()), *names.values()]))
            elif kind == 'image':
                labels.images.append(_image(record, path, where, names, labels))
            elif isinstance(record, LabelFileError):
                labels.fault('label_line', str(record), path)
            else:
                labels.fault('label_line', f'{where}: type is {shown(kind)}, expected "dataset" or "image"', path)
    return labels.dataset()


def _class_names(said: Any) -> dict[int, str]:
    """Class id -> name, from a list or a mapping."""
    pairs = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    return {
        int(number): ' '.join(name.split())
        for number, name in sorted(
            ((float_of(number), name) for number, name in pairs if isinstance(name, str)), key=lambda pair: pair[0]
        )
        if number.is_integer()
    }


def _image(record: dict[str, Any], path: Path, where: str, names: dict[int, str], labels: Labels) -> Image:
    split = record.get('split')
    image = Image(
        record.get('file'),
        path,
        where,
        size=(record.get('width'), record.get('height')),
        split=split_named(split) if isinstance(split, str) else None,
    )
    annotations = record.get('annotations')
    said: dict[str, Any] = annotations if isinstance(annotations, dict) else {}
    kind = next((key for key in said if key in _KINDS), None)
    for index, numbers in enumerate(said[kind] if kind and isinstance(said[kind], list) else ()):
        if not isinstance(numbers, list) or len(numbers) < 5:
            labels.fault(
                'label_line', f'{where}, {kind}[{index}] is {shown(numbers)}, expected a class and numbers', path
            )
            continue
        label = float_of(numbers[0])
        image.boxes.append(
            Box(
                names.get(int(label), int(label)) if label.is_integer() else None,
                _corners(numbers[1:], kind in ('boxes', 'pose')),
                f'{where}, {kind}[{index}]',
            )
        )
    return image


def _corners(numbers: list[Any], is_box: bool) -> Callable[[int, int], Corners]:
    """A function from the image size to corners in pixels."""
    if is_box:
        x, y, wide, high = map(float_of, numbers[:4])
        x1, y1, x2, y2 = x - wide / 2, y - high / 2, x + wide / 2, y + high / 2
    else:
        x1, y1, x2, y2 = corners_of_points(list(zip(numbers[::2], numbers[1::2])) if len(numbers) % 2 == 0 else None)
    return lambda width, height: (x1 * width, y1 * height, x2 * width, y2 * height)


NDJSON = Format(
    _NAME,
    '.ndjson with "type": "dataset" and "image", images in any folder next to it',
    partial(find_label_files, suffix='.ndjson', name=_NAME),
    _read,
)
