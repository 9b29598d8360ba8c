"""Pascal VOC: one XML file per image, in ``Annotations/`` or next to it, and lists of splits in ``ImageSets/Main``.

VOC counts pixels from 1, and both corners are inside the box. Here, x is from ``xmin - 1`` to ``xmax``. If any
coordinate of a data set is 0, the tool counted from 0, and coordinates are used unchanged. ``difficult`` objects are
ignored in training and evaluation, as in VOC's evaluation.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..problems import few
from .description import Format, UserDataset, split_named
from .label_files import Node, decoded, find_label_files
from .labelled import Box, Corners, Image, Labels, corners_of_points

__all__ = ['VOC']

_NAME = 'Pascal VOC'
_CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')
_YES = ('1', 'true', 'yes')


def _read(root: Path, files: list[Path]) -> UserDataset:
    labels = Labels(_NAME, root)
    for path, node in labels.read_each(files):
        size = node.first('size')
        image = Image(
            node.value('filename') or node.value('path'),
            path,
            str(path),
            alone=True,
            size=(size.value('width'), size.value('height')) if size else (None, None),
        )
        image.boxes = [box for one in node.all('object') if (box := _box(one, path, labels))]
        labels.images.append(image)
    _count_from_one(labels)
    _assign_splits(labels)
    return labels.dataset()


def _box(node: Node, path: Path, labels: Labels) -> Box | None:
    where = f'{path}:{node.line}'
    sides, polygon = node.first('bndbox'), node.first('polygon')
    if sides is not None:
        xmin, ymin, xmax, ymax = (sides.value(key) for key in _CORNERS)
        corners: Corners = (xmin, ymin, xmax, ymax)
        where = f'{path}:{sides.line}'
    elif polygon is not None:
        pairs = {child.tag: child.text.strip() for child in polygon.children}
        corners = corners_of_points(
            [(pairs[f'x{key[1:]}'], pairs.get(f'y{key[1:]}')) for key in pairs if key[0] == 'x']
            or [(one.value('x'), one.value('y')) for one in polygon.all('pt')]
        )
    else:
        labels.fault('label_line', f'{where}: an object has no bndbox. Draw one, or remove the object', path)
        return None
    return Box(node.value('name'), corners, where, (node.value('difficult') or '').lower() in _YES)


def _count_from_one(labels: Labels) -> None:
    """Convert coordinates that are counted from 1."""
    boxes = [box for image in labels.images for box in image.boxes]
    corners = [(box, number) for box in boxes if not callable(box.corners) for number in map(_float, box.corners)]
    if zero := next((box for box, number in corners if number is not None and number < 1), None):
        labels.notes.append(f'coordinates are assumed to be counted from 0, as in {zero.where}; VOC counts from 1')
        return
    for image in labels.images:
        image.boxes = [
            box if callable(box.corners) else box._replace(corners=_from_zero(box.corners)) for box in image.boxes
        ]


def _from_zero(corners: Corners) -> Corners:
    """Convert corners to counting from 0 and an exclusive second corner. The corners can be in any order.

    If the first coordinate exceeds the second one by less than a pixel, the box is narrower than a pixel.
    """
    numbers = [number for value in corners if (number := _float(value)) is not None]
    if len(numbers) < len(corners):
        return corners
    first, second = ((low - (low - high < 1), high - (low - high >= 1)) for low, high in zip(numbers[:2], numbers[2:]))
    return first[0], second[0], first[1], second[1]


def _float(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _assign_splits(labels: Labels) -> None:
    """Assign splits from the lists in ``ImageSets``. Without lists, folder names decide."""
    folder = next(
        (path for path in (labels.root / 'ImageSets' / 'Main', labels.root / 'ImageSets') if path.is_dir()), None
    )
    lists = {path.stem.lower(): path for path in sorted(folder.glob('*.txt'))} if folder else {}
    # Other files list the images of one class: `cat_train.txt`.
    splits = {
        split: path
        for name in ('trainval', 'train', 'training', 'val', 'valid', 'validation', 'test', 'testing')
        if (path := lists.get(name)) and (split := split_named(name))
    }
    if not splits:
        return
    labels.lists = True
    by_stem = {image.source.stem: image for image in labels.images}
    listed: list[Image] = []
    for split, path in splits.items():
        lines = [
            (number, line.strip())
            for number, line in enumerate(decoded(path.read_bytes()).splitlines(), 1)
            if line.strip()
        ]
        stems = [
            (f'{path}:{number}', stem) for number, line in lines if (stem := line.replace('\\', '/').rpartition('/')[2])
        ]
        known = [(where, _of_stem(stem, by_stem)) for where, stem in stems]
        if split == 'test' and not any(image for _, image in known):
            labels.notes.append(f'{path.name} lists images without annotations, so it is not evaluated')
            continue
        for (where, image), (_, stem) in zip(known, stems):
            if image is None:
                labels.faults.append((split, 'image_without_label', f'{where}: {stem}'))
            else:
                listed.append(replace(image, split=split))
    names = {image.source for image in listed}
    if others := [image.source.name for image in labels.images if image.source not in names]:
        labels.notes.append(
            f'{len(others)} label files are left out, because no list in {folder} names them: {few(others)}'
        )
    labels.images = listed


def _of_stem(line: str, by_stem: dict[str, Image]) -> Image | None:
    """The image of a line in a list: its name, which can contain spaces, or the first word."""
    names = [name for word in (line, line.split()[0]) for name in (word, word.rpartition('.')[0])]
    return next((by_stem[name] for name in names if name in by_stem), None)


VOC = Format(
    _NAME,
    '.xml files with <annotation>, in Annotations/ or next to the images; ImageSets/Main/train.txt',
    partial(find_label_files, suffix='.xml', name=_NAME),
    _read,
)
