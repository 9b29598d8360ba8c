"""LabelMe: one JSON file with ``shapes`` per image, next to the image or in a separate folder."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

from ..problems import shown
from .description import Format, UserDataset
from .label_files import find_label_files
from .labelled import Box, Image, Labels, corners_of_points

__all__ = ['LABELME']

_NAME = 'LabelMe'
_BOXES = ('rectangle', 'polygon', 'circle', 'rotation', 'mask')


def _read(root: Path, files: list[Path]) -> UserDataset:
    labels = Labels(_NAME, root)
    for path, content in labels.read_each(files):
        shapes = content.get('shapes') if isinstance(content, dict) else None
        if not isinstance(shapes, list):
            labels.fault('label_file', f'{path}: shapes is {shown(shapes)}, expected a list. Export it again', path)
            continue
        image = Image(
            content.get('imagePath'),
            path,
            str(path),
            alone=True,
            size=(content.get('imageWidth'), content.get('imageHeight')),
        )
        image.boxes = [
            box
            for number, shape in enumerate(shapes)
            if (box := _box(shape, f'{path}: shapes[{number}]', path, labels))
        ]
        labels.images.append(image)
    return labels.dataset()


def _box(shape: Any, where: str, path: Path, labels: Labels) -> Box | None:
    if not isinstance(shape, dict):
        labels.fault('label_line', f'{where} is {shown(shape)}, expected a shape', path)
        return None
    kind: Any = shape.get('shape_type') or 'polygon'
    points: Any = shape.get('points')
    if kind not in _BOXES or (kind == 'polygon' and isinstance(points, list) and len(points) < 2):
        labels.fault('shape_left_out', f'{where} is a {shown(kind)}', path)
        return None
    corners = corners_of_points(points)
    if kind == 'circle' and not math.isnan(corners[0]) and len(points) == 2:  # its center and a point on it
        (x, y), (edge_x, edge_y) = (map(float, point) for point in points)
        radius = math.hypot(edge_x - x, edge_y - y)
        corners = (x - radius, y - radius, x + radius, y + radius)
    flags = shape.get('flags')
    difficult = shape.get('difficult') is True or (isinstance(flags, dict) and flags.get('difficult') is True)
    return Box(shape.get('label'), corners, where, difficult)


LABELME = Format(
    _NAME,
    '.json files with shapes and imagePath, next to the images or in a separate folder',
    partial(find_label_files, suffix='.json', name=_NAME),
    _read,
)
