"""CVAT for images 1.1: one ``annotations.xml`` with all images, and the image files in ``images/``."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

from ...utils.errors import UserError
from ..problems import shown
from .description import Format, UserDataset, split_named
from .label_files import Node, find_label_files
from .labelled import Box, Corners, Image, Labels, corners_of_points, float_of

__all__ = ['CVAT']

_NAME = 'CVAT'
_SHAPES = ('box', 'polygon', 'ellipse', 'mask')
_OTHERS = ('polyline', 'points', 'cuboid', 'skeleton')


def _read(root: Path, files: list[Path]) -> UserDataset:
    labels = Labels(_NAME, root)
    classes: dict[str, None] = {}
    for path, node in labels.read_each(files):
        if node.all('track'):
            raise UserError(
                f'{path} is in the format CVAT for video, which has no image files. Export it again as '
                f'CVAT for images 1.1, with its images.'
            )
        classes.update(dict.fromkeys(_class_names(node)))
        for one in node.all('image'):
            named = one.attributes.get
            image = Image(
                named('name'),
                path,
                f'{path}:{one.line}',
                size=(named('width'), named('height')),
                split=split_named(named('subset') or ''),
            )
            for shape in one.all(*_SHAPES):
                hard = any(
                    child.attributes.get('name', '').lower() == 'difficult' and child.text.strip() == 'true'
                    for child in shape.all('attribute')
                )
                image.boxes.append(Box(shape.attributes.get('label'), _corners(shape), f'{path}:{shape.line}', hard))
            for shape in one.all(*_OTHERS):
                labels.fault('shape_left_out', f'{path}:{shape.line} is a {shown(shape.tag)}', path)
            labels.images.append(image)
    labels.classes = list(classes)
    return labels.dataset()


def _class_names(node: Node) -> list[str]:
    """The labels of the task, job or project, in order."""
    meta = node.first('meta')
    lists = [inner for task in (meta.children if meta else ()) for inner in task.all('labels')]
    return [
        name
        for labels in lists
        for label in labels.all('label')
        if (name := label.value('name')) and label.value('parent') is None
    ]


def _corners(shape: Node) -> Corners:
    named = shape.attributes.get
    if shape.tag == 'polygon':
        return corners_of_points([point.split(',') for point in named('points', '').split(';') if point])
    if shape.tag == 'box' and not float_of(named('rotation', '0')):
        return named('xtl'), named('ytl'), named('xbr'), named('ybr')
    if shape.tag == 'box':
        x1, y1, x2, y2 = (float_of(named(key)) for key in ('xtl', 'ytl', 'xbr', 'ybr'))
        angle = math.radians(float_of(named('rotation')))
        half_x, half_y = (x2 - x1) / 2, (y2 - y1) / 2  # rotated around its center
        wide = abs(half_x * math.cos(angle)) + abs(half_y * math.sin(angle))
        high = abs(half_x * math.sin(angle)) + abs(half_y * math.cos(angle))
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        return x - wide, y - high, x + wide, y + high
    if shape.tag == 'ellipse':
        x, y, wide, high = (float_of(named(key)) for key in ('cx', 'cy', 'rx', 'ry'))
        return x - wide, y - high, x + wide, y + high
    x, y, wide, high = (float_of(named(key)) for key in ('left', 'top', 'width', 'height'))
    return x, y, x + wide, y + high


CVAT = Format(
    _NAME,
    'annotations.xml with <annotations> and <image> (CVAT for images 1.1), images in images/',
    partial(find_label_files, suffix='.xml', name=_NAME),
    _read,
)
