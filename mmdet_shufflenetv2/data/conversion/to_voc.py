"""Pascal VOC's format: ``JPEGImages/``, ``Annotations/*.xml``, ``ImageSets/Main/SPLIT.txt``, and ``classes.txt``.

``classes.txt`` is not part of VOC. It keeps the order of the classes, and the classes without boxes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any
from xml.sax.saxutils import escape

from ...utils.errors import UserError
from ..layouts.labelled import NO_CLASSES
from ..problems import shown
from .target import Target, WrittenBox

__all__ = ['voc_xml', 'write_voc']

_IMAGES = 'JPEGImages'


def write_voc(target: Target) -> None:
    """Write a data set in VOC's format. Crowds and ignored objects are marked as difficult, VOC's only such flag.

    Raises:
        UserError: If the names of two classes differ only in white space, which VOC's readers ignore.
    """
    taken: set[str] = set()
    spelled = {name: ' '.join(name.split()) for name in target.classes}
    _name_classes(target, spelled)
    for folder in ('Annotations', 'ImageSets/Main'):
        (target.root / folder).mkdir(parents=True)
    for name, split in target.data.splits.items():
        stems = []
        for image, file, found in target.copy_images(name, _IMAGES, _stem, _flat, taken):
            boxes = [box._replace(name=spelled[box.name]) for box in target.boxes(split, image, found)]
            stems.append(_stem(file))
            (target.root / 'Annotations' / f'{stems[-1]}.xml').write_text(
                voc_xml(file, image, list(_counted_from_one(target, boxes, name, file))), encoding='utf-8'
            )
        (target.root / 'ImageSets' / 'Main' / f'{name}.txt').write_text(
            ''.join(f'{stem}\n' for stem in stems), encoding='utf-8'
        )


def _name_classes(target: Target, spelled: dict[str, str]) -> None:
    """Write the list of classes."""
    if len(set(spelled.values())) < len(spelled):
        twice = next(name for name in spelled if list(spelled.values()).count(spelled[name]) > 1)
        raise UserError(
            f'Two class names differ from {shown(spelled[twice])} only in white space, which Pascal VOC '
            f'ignores. Rename one of them, or convert to another format.'
        )
    used = {box['category_id'] for split in target.data.splits.values() for box in split.annotations['annotations']}
    used_names = {
        category['name']
        for split in target.data.splits.values()
        for category in split.annotations['categories']
        if category['id'] in used
    }
    for name in spelled:
        if spelled[name] != name:
            target.lose('the name of a class is written without its white space', shown(name))
        if name.lower() in NO_CLASSES and name not in used_names:
            target.lose(
                'a class without boxes is left out, because its name means background in class lists', shown(name)
            )
    target.classes = tuple(new for name, new in spelled.items() if name.lower() not in NO_CLASSES or name in used_names)
    (target.root / 'classes.txt').write_text(''.join(f'{name}\n' for name in target.classes), encoding='utf-8')


def _stem(file: str) -> str:
    return PurePath(file).stem


def _flat(file: str) -> str:
    """A name without folders and white space, which lists of names cannot contain."""
    return (
        re.sub(
            r'^\.+',
            '',
            ''.join(char if char.isprintable() and not char.isspace() else '_' for char in file.replace('/', '_')),
        )
        or '_'
    )


def _counted_from_one(target: Target, boxes: list[WrittenBox], split: str, file: str) -> Iterator[WrittenBox]:
    """Boxes with pixels counted from 1 and an inclusive second corner, as in VOC."""
    for box in boxes:
        x1, y1, x2, y2 = box.corners
        if max(x2, y2) <= 1:
            target.lose('a box is inside the first pixel of its image, and is not written', f'one of {file}')
            continue
        target.record(split, f'{_IMAGES}/{file}', box.name, [x1, y1, x2 - x1, y2 - y1])
        if box.ignore:
            target.lose('a crowd or an ignored object is marked as difficult', f'one of {file}')
        yield box._replace(corners=(x1 + 1, y1 + 1, x2, y2))


def voc_xml(file: str, image: dict[str, Any], boxes: list[WrittenBox]) -> str:
    """The label file of an image. ``image`` has ``width`` and ``height``; pixels of ``boxes`` are counted from 1."""
    objects = []
    for box in boxes:
        sides = (
            f'<{key}>{_number(value)}</{key}>' for key, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box.corners)
        )
        objects.append(
            f'  <object>\n    <name>{escape(box.name)}</name>\n    <pose>Unspecified</pose>\n'
            f'    <truncated>0</truncated>\n    <difficult>{int(box.ignore)}</difficult>\n'
            f'    <bndbox>{"".join(sides)}</bndbox>\n  </object>\n'
        )
    return (
        f'<annotation>\n  <folder>{_IMAGES}</folder>\n  <filename>{escape(file)}</filename>\n'
        f'  <size><width>{image["width"]}</width><height>{image["height"]}</height><depth>3</depth></size>\n'
        f'  <segmented>0</segmented>\n{"".join(objects)}</annotation>\n'
    )


def _number(value: float) -> str:
    """Format a number with a precision of a millionth, without trailing zeros."""
    return f'{value:.6f}'.rstrip('0').rstrip('.')
