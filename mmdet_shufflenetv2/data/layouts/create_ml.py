"""CreateML: JSON files with a list of images; a box is its center, width and height in pixels."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ..problems import shown
from .description import Format, UserDataset
from .label_files import find_label_files
from .labelled import Box, Corners, Image, Labels, float_of

__all__ = ['CREATE_ML']

_NAME = 'CreateML'


def _read(root: Path, files: list[Path]) -> UserDataset:
    labels = Labels(_NAME, root)
    for path, entries in labels.read_each(files):
        for number, entry in enumerate(entries if isinstance(entries, list) else [entries]):
            where = f'{path}: image {number}'
            if not isinstance(entry, dict) or not isinstance(entry.get('annotations', []), list):
                labels.fault('label_line', f'{where} is {shown(entry)}, expected image and annotations', path)
                continue
            image = Image(entry.get('image') or entry.get('imagefilename'), path, where)
            for index, one in enumerate(entry.get('annotations', [])):
                one = one if isinstance(one, dict) else {}
                image.boxes.append(Box(one.get('label'), _corners(one.get('coordinates')), f'{where}, box {index}'))
            labels.images.append(image)
    return labels.dataset()


def _corners(sides: Any) -> Corners:
    sides = sides if isinstance(sides, dict) else {}
    x, y, width, height = (float_of(sides.get(key)) for key in ('x', 'y', 'width', 'height'))
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


CREATE_ML = Format(
    _NAME,
    '.json with a list of image and annotations with coordinates',
    partial(find_label_files, suffix='.json', name=_NAME),
    _read,
)
