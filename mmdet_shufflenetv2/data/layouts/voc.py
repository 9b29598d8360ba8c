"""Pascal VOC: an XML file an image, in ``Annotations/`` or beside it, and lists of splits in ``ImageSets/Main``.

VOC counts pixels from 1 and both corners belong to the box: x from ``xmin - 1`` to ``xmax`` here. Tools that count from
0 write a 0 sooner or later; where one is anywhere in a data set, its coordinates are taken as they are.
``difficult`` objects are neither learned from nor evaluated on, as in VOC's evaluation.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

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
        image = Image(node.value('filename') or node.value('path'), path, str(path), alone=True,
                      size=(size.value('width'), size.value('height')) if size else (None, None))
        image.boxes = [box for one in node.all('object') if (box := _box(one, path, labels))]
        labels.images.append(image)
    _count_from_one(labels)
    _assign_splits(labels)
    return labels.dataset()


def _box(node: Node, path: Path, labels: Labels) -> Box | None:
    where = f'{path}:{node.line}'
    sides, polygon = node.first('bndbox'), node.first('polygon')
    if sides is not None:
        corners = tuple(sides.value(key) for key in _CORNERS)
        where = f'{path}:{sides.line}'
    elif polygon is not None:
        pairs = {child.tag: child.text.strip() for child in polygon.children}
        corners = corners_of_points([(pairs[f'x{key[1:]}'], pairs.get(f'y{key[1:]}')) for key in pairs if key[0] == 'x']
                                    or [(one.value('x'), one.value('y')) for one in polygon.all('pt')])
    else:
        labels.fault('label_line', f'{where}: an object has no bndbox. Draw one, or remove the object', path)
        return None
    return Box(node.value('name'), corners, where, (node.value('difficult') or '').lower() in _YES)


def _count_from_one(labels: Labels) -> None:
    """Let coordinates start from 0."""
    boxes = [box for image in labels.images for box in image.boxes]
    corners = [(box, number) for box in boxes for number in map(_float, box.corners)]
    if zero := next((box for box, number in corners if number is not None and number < 1), None):
        labels.notes.append(f'coordinates are taken to be counted from 0, as in {zero.where}; VOC counts from 1')
        return
    for image in labels.images:
        image.boxes = [box._replace(corners=_from_zero(box.corners)) for box in image.boxes]


def _from_zero(corners: Corners) -> Corners:
    """Corners that are counted from 0 of which the second is behind the box; the smaller may be the second one.

    A first corner above the second by less than a pixel is that of a box narrower than a pixel.
    """
    numbers = list(map(_float, corners))
    if None in numbers:
        return corners
    first, second = ((low - (low - high < 1), high - (low - high >= 1)) for low, high in zip(numbers[:2], numbers[2:]))
    return first[0], second[0], first[1], second[1]


def _float(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def _assign_splits(labels: Labels) -> None:
    """What ``ImageSets`` says; without it the folders tell."""
    folder = next((path for path in (labels.root / 'ImageSets' / 'Main', labels.root / 'ImageSets') if path.is_dir()),
                  None)
    lists = {path.stem.lower(): path for path in sorted(folder.glob('*.txt'))} if folder else {}
    # Others list a class each: `cat_train.txt`.
    splits = {split: path for name in ('trainval', 'train', 'training', 'val', 'valid', 'validation', 'test', 'testing')
              if (path := lists.get(name)) and (split := split_named(name))}
    if not splits:
        return
    labels.lists = True
    by_stem = {image.source.stem: image for image in labels.images}
    listed: list[Image] = []
    for split, path in splits.items():
        lines = [(number, line.strip()) for number, line in enumerate(decoded(path.read_bytes()).splitlines(), 1)
                 if line.strip()]
        stems = [(f'{path}:{number}', stem) for number, line in lines
                 if (stem := line.replace('\\', '/').rpartition('/')[2])]
        known = [(where, _of_stem(stem, by_stem)) for where, stem in stems]
        if split == 'test' and not any(image for _, image in known):
            labels.notes.append(f'{path.name} lists images without annotations, which are none to evaluate on')
            continue
        for (where, image), (_, stem) in zip(known, stems):
            if image is None:
                labels.faults.append((split, 'image_without_label', f'{where}: {stem}'))
            else:
                listed.append(replace(image, split=split))
    names = {image.source for image in listed}
    if others := [image.source.name for image in labels.images if image.source not in names]:
        labels.notes.append(f'{len(others)} label files are left out, as no list in {folder} names them: {few(others)}')
    labels.images = listed


def _of_stem(line: str, by_stem: dict[str, Image]) -> Image | None:
    """The image that a line of a list means: its name, in which may be spaces, or the first word."""
    names = [name for word in (line, line.split()[0]) for name in (word, word.rpartition('.')[0])]
    return next((by_stem[name] for name in names if name in by_stem), None)


VOC = Format(_NAME, '.xml files with <annotation>, in Annotations/ or beside the images; ImageSets/Main/train.txt',
             partial(find_label_files, suffix='.xml', name=_NAME), _read)
