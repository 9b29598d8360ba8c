"""Label Studio's JSON and JSON-MIN, next to a folder with the images, which exports do not contain.

Coordinates are percentages of the image. A rotated box is rotated around its upper left corner, and its enclosing box
is used. If a task has several annotations, the one marked as ground truth is used, or else the last one that was not
cancelled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ..problems import shown
from .description import Format, UserDataset
from .label_files import find_label_files
from .labelled import Box, Corners, Image, Labels, corners_of_points, float_of

__all__ = ['LABEL_STUDIO']

_NAME = 'Label Studio'
_CLASSES = ('rectanglelabels', 'polygonlabels', 'ellipselabels', 'labels')
_ADDRESSES = ('image', 'img', 'url', 'ocr', 'captioning')


def _read(root: Path, files: list[Path]) -> UserDataset:
    labels = Labels(_NAME, root)
    several = 0
    for path, tasks in labels.read_each(files):
        for number, task in enumerate(tasks if isinstance(tasks, list) else [tasks]):
            where = f'{path}: task {number}'
            if not isinstance(task, dict):
                labels.fault('label_line', f'{where} is {shown(task)}, expected a task', path)
                continue
            full = isinstance(task.get('data'), dict)
            name = _address(task['data'] if full else task)
            if full:
                entries = task.get('annotations') or task.get('completions')
                done = [
                    one
                    for one in (entries if isinstance(entries, list) else ())
                    if isinstance(one, dict) and not one.get('was_cancelled')
                ]
                if not done:
                    labels.fault('image_without_label', f'{where}: {shown(name)} has no annotation', path)
                    labels.known.add(Path(str(name)).stem)
                    continue
                several += len(done) > 1
                result = next((one for one in done if one.get('ground_truth')), done[-1]).get('result')
            else:
                result = [
                    one
                    for value in task.values()
                    if isinstance(value, list)
                    for one in value
                    if isinstance(one, dict) and ('x' in one or 'points' in one or 'rle' in one)
                ]
            labels.images.append(_image(name, result, where, path, labels))
    if several:
        labels.notes.append(
            f'{several} images have several annotations: the one marked as ground truth is used, or else the last one'
        )
    return labels.dataset()


def _address(data: dict[str, Any]) -> Any:
    named = [data[key] for key in _ADDRESSES if isinstance(data.get(key), str)]
    return next(iter(named or [value for value in data.values() if isinstance(value, str) and '.' in value]), None)


def _image(name: Any, result: Any, where: str, path: Path, labels: Labels) -> Image:
    image = Image(name, path, where)
    for index, (value, entry) in _regions(result):
        said = f'{where}, result {index}'
        if size := (entry.get('original_width'), entry.get('original_height')):
            image.size = size if None not in size else image.size
        corners = _corners(value)
        if corners is None:
            labels.fault('shape_left_out', f'{said} is a {shown(entry.get("type", "shape"))}', path)
            continue
        names = next((value[key] for key in _CLASSES if value.get(key)), None)
        image.boxes.append(Box(names[0] if isinstance(names, list) else names, corners, said))
    return image


def _regions(result: Any) -> Iterator[tuple[int, tuple[dict[str, Any], dict[str, Any]]]]:
    """The shapes of a result with their index and entry. A class in a separate entry is merged into its shape."""
    entries = [one for one in result if isinstance(one, dict)] if isinstance(result, list) else []
    regions: dict[Any, tuple[int, tuple[dict[str, Any], dict[str, Any]]]] = {}
    for index, entry in enumerate(entries):
        value = entry.get('value', entry)  # JSON-MIN has no such level
        if not isinstance(value, dict) or not {'x', 'points', 'rle'} & value.keys():
            continue  # a choice or a text about the image
        key = str(entry['id']) if 'value' in entry and isinstance(entry.get('id'), (str, int)) else index
        if key in regions:
            value = regions[key][1][0] | value
        regions[key] = index, (value, entry)
    yield from regions.values()


def _corners(value: dict[str, Any]) -> Callable[[int, int], Corners] | None:
    """A function from the image size to x1, y1, x2, y2 in pixels; None for a shape without a box."""
    if 'points' in value:
        if 'keypointlabels' in value:
            return None
        return lambda width, height: _scaled(corners_of_points(value['points']), width, height)
    if 'radiusX' in value:
        x, y, wide, high = (float_of(value.get(key)) for key in ('x', 'y', 'radiusX', 'radiusY'))
        return lambda width, height: _scaled((x - wide, y - high, x + wide, y + high), width, height)
    if 'width' not in value or 'keypointlabels' in value or 'height' not in value:
        return None
    x, y, wide, high = (float_of(value.get(key)) for key in ('x', 'y', 'width', 'height'))
    angle = math.radians(float_of(value.get('rotation') or 0))
    if not angle:
        return lambda width, height: _scaled((x, y, x + wide, y + high), width, height)

    def rotated(width: int, height: int) -> Corners:
        left, top, right, down = x * width / 100, y * height / 100, wide * width / 100, high * height / 100
        cos, sin = math.cos(angle), math.sin(angle)
        return corners_of_points(
            [
                (left + across * cos - along * sin, top + across * sin + along * cos)
                for across in (0, right)
                for along in (0, down)
            ]
        )

    return rotated


def _scaled(corners: Corners, width: int, height: int) -> Corners:
    x1, y1, x2, y2 = corners
    return x1 * width / 100, y1 * height / 100, x2 * width / 100, y2 * height / 100


LABEL_STUDIO = Format(
    _NAME,
    '.json with a list of tasks (JSON or JSON-MIN), images in any folder next to it',
    partial(find_label_files, suffix='.json', name=_NAME),
    _read,
)
