"""DOTA: one text file per image in ``labelTxt/`` or ``annfiles/``. A line has four corners, a class and a difficulty.

The box around the corners is used. Roboflow exports this format as "YOLOv5 Oriented Bounding Boxes".
"""

from __future__ import annotations

import os
import re
from itertools import islice
from pathlib import Path

from ..problems import shown
from .description import Format, UserDataset
from .label_files import format_of, label_files
from .labelled import CLASS_LISTS, Box, Image, Labels, corners_of_points

__all__ = ['DOTA', 'dota_folders']

_NAME = 'DOTA'
_FOLDERS = re.compile(r'labeltxt|annfiles', re.IGNORECASE)
# Header lines: the source of the image, and the size of a pixel on the ground.
_HEADER = ('imagesource:', 'gsd:')
# Number of files that are checked to recognize the format in other folders.
_FEW = 5
# Depth of folders such as train/labelTxt-v1.0/labelTxt/.
_DEPTH = 3


def dota_folders(root: Path) -> list[Path]:
    """The folders whose names only DOTA uses."""
    level, found = [root], []
    for _ in range(_DEPTH):
        level = [inner for folder in level for inner in _folders_in(folder)]
        found += [path for path in level if _FOLDERS.match(path.name) and any(path.glob('*.txt'))]
    return found


def _folders_in(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith('.'))


def _find(root: Path) -> list[Path]:
    if folders := dota_folders(root):
        found = [path for folder in folders for path in sorted(folder.glob('*.txt'))]
        return found if any(format_of(path) == _NAME for path in found[:_FEW]) else []
    others = [path for path in islice(label_files(root, '.txt'), _FEW) if path.name not in CLASS_LISTS]
    if not any(format_of(path) == _NAME for path in others):
        return []
    return [path for path in label_files(root, '.txt') if format_of(path) == _NAME or not path.stat().st_size]


def _read(root: Path, files: list[Path]) -> UserDataset:
    labels = Labels(_NAME, root)
    for path, lines in labels.read_each(files):
        image = Image(None, path, str(path), alone=True)
        for number, line in lines:
            if not line.lower().startswith(_HEADER) and (box := _box(line, f'{path}:{number}', path, labels)):
                image.boxes.append(box)
        labels.images.append(image)
    return labels.dataset()


def _box(line: str, where: str, path: Path, labels: Labels) -> Box | None:
    fields = line.replace(',', ' ').split()
    if len(fields) < 9:
        labels.fault(
            'label_line', f'{where}: {shown(line)}, expected eight coordinates, a class and a difficulty', path
        )
        return None
    corners = corners_of_points(list(zip(fields[:8:2], fields[1:8:2])))
    hard = len(fields) > 9 and fields[-1].isdigit()
    name = ' '.join(fields[8:-1] if hard else fields[8:])
    return Box(name, corners, where, hard and fields[-1] != '0')


DOTA = Format(
    _NAME,
    'labelTxt*/*.txt or annfiles/*.txt with x1 y1 ... x4 y4 class difficult, images in any folder next to it',
    _find,
    _read,
)
