"""VGG Image Annotator 2: its project file, or its annotations as JSON or CSV."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..problems import shown
from .description import Format, UserDataset
from .label_files import find_label_files
from .labelled import Box, Corners, Image, Labels, corners_of_points, float_of

__all__ = ['VIA']

_NAME = 'VIA'
# Possible names of the attribute with the class, in order of priority.
_CLASSES = ('class', 'label', 'name', 'type', 'category', 'object', 'species')

Region = tuple[str, Any, Any]


def _find(root: Path) -> list[Path]:
    return find_label_files(root, '.json', _NAME) or find_label_files(root, '.csv', _NAME)


def _read(root: Path, files: list[Path]) -> UserDataset:
    labels = Labels(_NAME, root)
    found: list[tuple[Image, list[Region]]] = []
    for path, content in labels.read_each(files):
        found += (_of_json if path.suffix.lower() == '.json' else _of_csv)(path, content, labels)
    attributes = Counter(
        key.lower() for _, regions in found for _, _, said in regions if isinstance(said, dict) for key in said
    )
    key = next((key for key in _CLASSES if key in attributes), next(iter(attributes), None))
    if key is None and any(regions for _, regions in found):
        labels.notes.append("no region has an attribute, so all get the class 'object'")
    for image, regions in found:
        for where, shape, said in regions:
            corners = _corners(shape)
            if corners is None:
                kind = shape.get('name') if isinstance(shape, dict) else shape
                labels.fault('shape_left_out', f'{where} is a {shown(kind)}', image.source)
                continue
            image.boxes.append(Box(_class(said, key) if key else 'object', corners, where))
        labels.images.append(image)
    return labels.dataset()


def _of_json(path: Path, content: Any, labels: Labels) -> Iterator[tuple[Image, list[Region]]]:
    images = content.get('_via_img_metadata', content) if isinstance(content, dict) else None
    for key, entry in (images if isinstance(images, dict) else {}).items():
        if key.startswith('_via_') or not isinstance(entry, dict) or not isinstance(entry.get('filename'), str):
            if not key.startswith('_via_'):
                labels.fault('label_line', f'{path}: {shown(key)} is not an image with a filename', path)
            continue
        regions = entry.get('regions') or []
        regions = list(regions.values()) if isinstance(regions, dict) else regions  # version 1
        where = f'{path}: {shown(key)}'
        yield (
            Image(entry['filename'], path, where),
            [
                (f'{where}, region {index}', one.get('shape_attributes'), one.get('region_attributes'))
                for index, one in enumerate(regions)
                if isinstance(one, dict)
            ],
        )


def _of_csv(path: Path, rows: list[tuple[int, list[str]]], labels: Labels) -> Iterator[tuple[Image, list[Region]]]:
    columns = {name.lstrip('#').strip(): index for index, name in enumerate(rows[0][1])}
    keys = ('filename', 'region_shape_attributes', 'region_attributes')
    if not set(keys) <= columns.keys():
        labels.fault('label_file', f'{path}:{rows[0][0]}: lacks a column, expected {", ".join(keys)}', path)
        return
    images: dict[str, tuple[Image, list[Region]]] = {}
    for line, cells in rows[1:]:
        try:
            name, shape, said = (cells[columns[key]] for key in keys)
            shape, said = json.loads(shape or '{}'), json.loads(said or '{}')
        except (IndexError, ValueError, RecursionError):
            labels.fault('label_line', f'{path}:{line}: is not a valid line of VIA. Export it again', path)
            continue
        _, regions = images.setdefault(name, (Image(name, path, f'{path}:{line}'), []))
        if shape:
            regions.append((f'{path}:{line}', shape, said))
    yield from images.values()


def _class(said: Any, key: str) -> Any:
    said = said if isinstance(said, dict) else {}
    value = next((value for name, value in said.items() if name.lower() == key), None)
    if isinstance(value, dict):  # a checkbox
        return next((name for name, on in value.items() if on), None)
    return value


def _corners(shape: Any) -> Corners | None:
    """The box of a shape; None if the shape has none."""
    if not isinstance(shape, dict):
        return None
    kind = shape.get('name')

    def number(key: str) -> float:
        return float_of(shape.get(key))

    if kind == 'rect':
        return number('x'), number('y'), number('x') + number('width'), number('y') + number('height')
    if kind == 'polygon':
        xs, ys = shape.get('all_points_x'), shape.get('all_points_y')
        if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
            return corners_of_points(None)
        return corners_of_points(list(zip(xs, ys)))
    if kind in ('circle', 'ellipse'):
        wide, high = (number('r'), number('r')) if kind == 'circle' else (number('rx'), number('ry'))
        theta = float_of(shape.get('theta', 0))
        wide, high = (
            math.hypot(wide * math.cos(theta), high * math.sin(theta)),
            math.hypot(wide * math.sin(theta), high * math.cos(theta)),
        )
        return number('cx') - wide, number('cy') - high, number('cx') + wide, number('cy') + high
    return None


VIA = Format(_NAME, 'the .json or .csv of VGG Image Annotator 2, images in any folder next to it', _find, _read)
