"""Every problem of a data set in COCO's format, found in one pass."""

from __future__ import annotations

import math
import ntpath
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..utils.images import check_image_files
from .annotation_file import LISTS
from .problems import Report, shown

__all__ = ['as_float', 'audit', 'is_box', 'is_number', 'is_whole', 'leaves_folder', 'left_out']

# A box may end on the border, and files round.
_OUTSIDE = 1.0
# Sloppy boxes reach outside, but not by as large a share of the image's side as corners taken for width and height.
_FAR_OUTSIDE = 1.1


def audit(annotations: dict[str, list], source: str | os.PathLike, folder: str | os.PathLike,
          look: bool = True, **reader: Any) -> Report:
    """Check what an annotation file says, against itself and against the images.

    Args:
        annotations: What :func:`.read_annotations` returns. In its three lists may stand anything.
        source, folder: The file, for the report, and where the images are.
        look: Whether to look at the image files; without it only what the annotation file says is checked.
        reader: What will decode them, as :func:`.check_image_file` takes it.
    """
    report = Report(os.fspath(source), os.fspath(folder), {key: len(annotations[key]) for key in LISTS})
    categories = _categories(report, annotations['categories'])
    sizes = _images(report, annotations['images'])
    _annotations(report, annotations['annotations'], sizes, categories)
    for kind in ('images', 'annotations'):
        if not annotations[kind]:
            report.note(f'no_{kind}', f'the list "{kind}" is empty')
    if look:
        _files(report, annotations['images'], folder, reader)
    return report


def leaves_folder(name: str) -> bool:
    """Whether a file name, joined to a folder, may lead out of it, on Linux or on Windows."""
    return bool(name.startswith(('/', '\\')) or ntpath.splitdrive(name)[0] or '\0' in name
                or '..' in name.replace('\\', '/').split('/'))


def _categories(report: Report, entries: list) -> dict[int, str]:
    names: dict[int, str] = {}
    for what, entry in _objects(report, 'category', entries):
        number, name = _field(report, what, entry, 'id'), _field(report, what, entry, 'name', 'text')
        if number in names:
            report.note('duplicate_category_id', f'{what}: id {number} is also {shown(names[number])}')
        elif number is not None:
            if name is not None and name in names.values():
                report.note('duplicate_category_name', f'{what}: {shown(name)}')
            names[number] = name or ''
    return names


def _images(report: Report, entries: list) -> dict[int, tuple[float, float] | None]:
    """Image id -> stated width and height, None where they are not known."""
    sizes: dict[int, tuple[float, float] | None] = {}
    names = Counter()
    for what, entry in _objects(report, 'image', entries):
        number, name = _field(report, what, entry, 'id'), _field(report, what, entry, 'file_name', 'text')
        size = tuple(_field(report, what, entry, key, 'positive number') for key in ('width', 'height'))
        if number in sizes:
            report.note('duplicate_image_id', f'{what}: id {number}')
        elif number is not None:
            sizes[number] = None if None in size else size
        if name is not None:
            names[name] += 1
            if names[name] == 2:
                report.note('duplicate_file', shown(name))
            if leaves_folder(name):
                report.note('leaves_folder', f'{what}: {shown(name)}')
    return sizes


def _annotations(report: Report, entries: list, sizes: dict[int, tuple[float, float] | None],
                 categories: dict[int, str]) -> None:
    ids, used_images, used_categories = {None}, {None}, {None}
    boxes: list[tuple[list[float], tuple[float, float] | None]] = []
    for what, entry in _objects(report, 'annotation', entries):
        number, image, category = (_field(report, what, entry, key) for key in ('id', 'image_id', 'category_id'))
        if number is not None and number in ids:
            report.note('duplicate_annotation_id', f'{what}: id {number}')
        if image is not None and image not in sizes:
            report.note('unknown_image', f'{what}: image_id {image}')
        if category is not None and category not in categories:
            report.note('unknown_category', f'{what}: category_id {category}')
        for seen, one in ((ids, number), (used_images, image), (used_categories, category)):
            seen.add(one)
        area = _field(report, what, entry, 'area', 'number')
        if odd := entry.get('iscrowd', 0) not in (0, 1):
            report.note('field_type', f'{what}: iscrowd is {shown(entry["iscrowd"])}, expected 0 or 1')
        size = sizes.get(image)
        if box := _box(report, what, entry, size):
            boxes.append((box, size))
        reason = left_out(entry, size)
        if reason and not (odd and reason == 'crowd'):
            report.note(reason, f'{what}: area {area:g}' if reason == 'area' and area is not None else
                        f'{what}: bbox {_said(box)}' if box else what)
        report.learned += box is not None and reason is None
        _segmentation(report, what, entry.get('segmentation'))
    # A category or an image without annotation is worth a word only where there are annotations at all.
    if entries:
        for number in (number for number in categories if number not in used_categories):
            report.note('unused_category', f'{shown(categories[number])}, id {number}')
        for number in (number for number in sizes if number not in used_images):
            report.note('empty_image', f'image with id {number}')
    if boxes and not report.learned:
        report.note('no_box', f'none of {len(boxes)} is learned from: {report.reasons}')
    if _look_like_corners(boxes):
        report.note('box_corners', f'bbox {_said(boxes[0][0])} is the first of {len(boxes)}')


def left_out(entry: dict[str, Any], size: tuple[float, float] | None) -> str | None:
    """Why MMDetection does not learn from an annotation, one of :data:`.LEFT_OUT`; None where it does.

    Where its box is none, the other reasons count. ``size`` is width and height of its image in pixels, None where they
    are not known.
    """
    if entry.get('ignore'):
        return 'ignored'
    if entry.get('iscrowd'):
        return 'crowd'
    if is_box(entry.get('bbox')):
        x, y, width, height = map(float, entry['bbox'])
        if width <= 0 or height <= 0:
            return 'box_flat'
        if width < 1 or height < 1:
            return 'box_tiny'
        if size is not None and (x >= size[0] or y >= size[1] or x + width <= 0 or y + height <= 0):
            return 'box_beside'
    area = as_float(entry.get('area'))
    return 'area' if area is not None and area <= 0 else None


def _look_like_corners(boxes: list[tuple[list[float], tuple[float, float] | None]]) -> bool:
    """Whether all boxes fit their images as x1, y1, x2, y2, and half of them not at all as x, y, width, height."""
    known = [(box, size) for box, size in boxes if size is not None]
    far = sum(x + w > _FAR_OUTSIDE * width or y + h > _FAR_OUTSIDE * height for (x, y, w, h), (width, height) in known)
    return 2 * far > len(boxes) and all(
        x1 <= x2 <= width + _OUTSIDE and y1 <= y2 <= height + _OUTSIDE for (x1, y1, x2, y2), (width, height) in known)


def _box(report: Report, what: str, entry: dict[str, Any], size: tuple[float, float] | None) -> list[float] | None:
    """Check an annotation's box; its four numbers where they are that."""
    if 'bbox' not in entry:
        report.note('field_missing', f'{what}: bbox')
        return None
    box = entry['bbox']
    if not isinstance(box, list) or len(box) != 4:
        report.note('box_length', f'{what}: bbox is {shown(box)}, expected [x, y, width, height]')
        return None
    numbers = [as_float(value) for value in box]
    if None in numbers:
        report.note('field_type', f'{what}: bbox holds {shown(box[numbers.index(None)])}, expected a number')
        return None
    said = f'{what}: bbox {_said(numbers)}'
    if not all(map(math.isfinite, numbers)):
        report.note('box_not_finite', said)
        return None
    x, y, width, height = numbers
    if size is not None and min(width, height) >= 1 and left_out({'bbox': box}, size) is None:
        said += f' in {size[0]:g} x {size[1]:g}'
        if min(x, y) < -_OUTSIDE or x + width > size[0] + _OUTSIDE or y + height > size[1] + _OUTSIDE:
            report.note('box_outside', said)
    return numbers


def _said(box: list[float]) -> str:
    return f'[{", ".join(f"{number:g}" for number in box)}]'


def _segmentation(report: Report, what: str, value: Any) -> None:
    # Training stores it for every kind of detector; nesting without end would overflow the stack there.
    for polygon in value if isinstance(value, list) else ():
        if isinstance(polygon, list) and {list, dict} & set(map(type, polygon)):
            report.note('segmentation_nested', f'{what}: segmentation')
            return


def _files(report: Report, entries: list, folder: str | os.PathLike, reader: dict[str, Any]) -> None:
    listed = [(place, entry) for place, entry in enumerate(entries)
              if isinstance(entry, dict) and isinstance(entry.get('file_name'), str) and entry['file_name']
              and not leaves_folder(entry['file_name'])]
    looks = check_image_files((os.path.join(folder, entry['file_name']) for _, entry in listed), **reader)
    for (place, entry), look in zip(listed, looks):
        if look.kind:
            report.note(look.kind, f'image {place}: {look.fault}')
            continue
        stated = as_float(entry.get('width')), as_float(entry.get('height'))
        if all(side is not None and 0 < side < math.inf for side in stated) and stated != look.size:
            report.note('image_size', f'image {place} ({shown(entry["file_name"])}): {look.size[0]} x {look.size[1]}, '
                                      f'stated {stated[0]:g} x {stated[1]:g}')


def _objects(report: Report, kind: str, entries: list) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries that are JSON objects, each with what to call it; they are counted from 0."""
    for place, entry in enumerate(entries):
        if isinstance(entry, dict):
            yield f'{kind} {place}', entry
        else:
            report.note('entry', f'{kind} {place} is {shown(entry)}')


def _field(report: Report, what: str, entry: dict[str, Any], key: str, kind: str = 'whole number of 64 bits') -> Any:
    """The value of a field where it is of its kind; None, and a note, where it is not."""
    if key not in entry:
        report.note('field_missing', f'{what}: {key}')
    elif not _KINDS[kind](entry[key]):
        expected = kind if kind == 'text' else f'a {kind}'
        report.note('field_type', f'{what}: {key} is {shown(entry[key])}, expected {expected}')
    else:
        return entry[key]
    return None


def is_box(value: Any) -> bool:
    """Whether something is a list of four numbers, none of them NaN or infinite."""
    return isinstance(value, list) and len(value) == 4 and all(map(is_number, value))


def is_number(value: Any) -> bool:
    """Whether something is a number, but not NaN or infinite."""
    number = as_float(value)
    return number is not None and math.isfinite(number)


def is_whole(value: Any) -> bool:
    """Whether something is an integer that 64 bits hold, as ids have to."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def as_float(value: Any) -> float | None:
    """A number as float, infinity where it has no room there; None for what is no number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


# Kind of a field, as a message names it -> whether a value is of it.
_KINDS = {
    'whole number of 64 bits': is_whole,
    'number': is_number,
    'positive number': lambda value: is_number(value) and value > 0,
    'text': lambda value: isinstance(value, str) and value != '',
}
