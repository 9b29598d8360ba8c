"""Supervisely: ``meta.json`` with the classes, and folders with ``ann/IMAGE.json`` and ``img/IMAGE``."""

from __future__ import annotations

import base64
import binascii
import math
import struct
import zlib
from pathlib import Path
from typing import Any

from ...utils.images import is_clutter
from ..problems import shown
from .description import Format, UserDataset, split_named
from .label_files import LabelFileError, format_of, read_json_labels
from .labelled import Box, Corners, Image, Labels, corners_of_points, float_of

__all__ = ['SUPERVISELY']

_NAME = 'Supervisely'
# In the folder of a project, or of one of its data sets, which can be nested.
_PLACES = ('ann/*.json', '*/ann/*.json', '*/datasets/*/ann/*.json')
_NO_BOXES = ('point', 'line', 'polyline', 'graph', 'cuboid', 'point_3d', 'cuboid_3d')


def _find(root: Path) -> list[Path]:
    files = [path for place in _PLACES for path in root.glob(place) if not is_clutter(path.relative_to(root))]
    folders = {path.parent for path in files if format_of(path) == _NAME}
    return sorted(path for path in files if path.parent in folders)


def _read(root: Path, files: list[Path]) -> UserDataset:
    labels = Labels(_NAME, root)
    labels.classes = _class_names(labels)
    for path, content in labels.read_each(files):
        objects = content.get('objects') if isinstance(content, dict) else None
        if not isinstance(objects, list):
            labels.fault('label_file', f'{path}: objects is {shown(objects)}, expected a list. Export it again', path)
            continue
        size: Any = content.get('size') if isinstance(content.get('size'), dict) else {}
        image = Image(
            path.stem,
            path,
            str(path),
            alone=True,
            size=(size.get('width'), size.get('height')),
            split=_split_tag(content.get('tags')),
        )
        image.boxes = [
            box for number, one in enumerate(objects) if (box := _box(one, f'{path}: objects[{number}]', path, labels))
        ]
        labels.images.append(image)
    return labels.dataset()


def _class_names(labels: Labels) -> list[str] | None:
    """The classes of the project that can have boxes, in order; None if they are not listed."""
    path = next(
        (
            folder / 'meta.json'
            for folder in (labels.root, labels.root.absolute().parent)
            if (folder / 'meta.json').is_file()
        ),
        None,
    )
    if path is None:
        return None
    labels.files.add(path)
    try:
        content = read_json_labels(path)
    except LabelFileError as error:
        labels.faults.append((None, 'label_file', str(error)))
        return None
    classes = content.get('classes') if isinstance(content, dict) else None
    names = (
        [
            one['title']
            for one in classes
            if isinstance(one, dict) and isinstance(one.get('title'), str) and one.get('shape') not in _NO_BOXES
        ]
        if isinstance(classes, list)
        else []
    )
    return list(dict.fromkeys(' '.join(name.split()) for name in names)) or None


def _split_tag(tags: Any) -> str | None:
    """The split that is named by a tag of an image."""
    names = [tag.get('name') for tag in tags if isinstance(tag, dict)] if isinstance(tags, list) else []
    return next(
        (split for name in names if isinstance(name, str) and name.isalpha() and (split := split_named(name))), None
    )


def _box(one: Any, where: str, path: Path, labels: Labels) -> Box | None:
    if not isinstance(one, dict):
        labels.fault('label_line', f'{where} is {shown(one)}, expected an object', path)
        return None
    points = one['points'].get('exterior') if isinstance(one.get('points'), dict) else None
    kind = one.get('geometryType') or one.get('type') or ('bitmap' if one.get('bitmap') else 'polygon')
    if kind not in ('rectangle', 'polygon', 'bitmap'):
        labels.fault('shape_left_out', f'{where} is a {shown(kind)}', path)
        return None
    corners = _corners_of_bitmap(one.get('bitmap')) if kind == 'bitmap' else corners_of_points(points)
    return Box(one.get('classTitle'), corners, where)


def _corners_of_bitmap(bitmap: Any) -> Corners:
    """The box of a mask: a PNG with the size of the object, at ``origin``. NaN if it is invalid."""
    try:
        packed = base64.b64decode(bitmap['data'])
        header = zlib.decompressobj().decompress(packed, 24)  # only the header: the rest could fill the memory
        width, height = struct.unpack('>II', header[16:24])
        x, y = map(float_of, bitmap['origin'])
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error, struct.error):
        return (math.nan,) * 4
    return x, y, x + width, y + height


SUPERVISELY = Format(_NAME, 'meta.json, and folders of any name with ann/*.json and img/', _find, _read)
