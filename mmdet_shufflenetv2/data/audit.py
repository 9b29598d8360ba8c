"""Find all problems of a COCO data set in one pass."""

from __future__ import annotations

import math
import ntpath
import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from ..utils.images import check_image_files
from .annotation_file import LISTS
from .problems import Report, shown

__all__ = ['as_float', 'audit', 'is_box', 'is_integer', 'is_number', 'leaves_folder', 'left_out']

# Boxes may end at the border, and coordinates are rounded.
_OUTSIDE = 1.0
# Inaccurate boxes reach outside a little; corners that are treated as width and height reach outside further.
_FAR_OUTSIDE = 1.1


def audit(
    annotations: dict[str, list[Any]],
    source: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    check_files: bool = True,
    **reader: Any,
) -> Report:
    """Check an annotation file for consistency, and compare it with the images.

    Args:
        annotations: The result of :func:`.read_annotations`. The entries of its lists can be anything.
        source, folder: The annotation file, for the report, and the folder of the images.
        check_files: Whether to check the image files, too.
        reader: The decoder of the images, see :func:`.check_image_file`.
    """
    report = Report(os.fspath(source), os.fspath(folder), {key: len(annotations[key]) for key in LISTS})
    categories = _categories(report, annotations['categories'])
    sizes = _images(report, annotations['images'])
    _annotations(report, annotations['annotations'], sizes, categories)
    for kind in ('images', 'annotations'):
        if not annotations[kind]:
            report.note(f'no_{kind}', f'the list "{kind}" is empty')
    if check_files:
        _files(report, annotations['images'], folder, reader)
    return report


def leaves_folder(name: str) -> bool:
    """Whether a file name can point outside the folder that it is joined to, on Linux or Windows."""
    return bool(
        name.startswith(('/', '\\'))
        or ntpath.splitdrive(name)[0]
        or '\0' in name
        or '..' in name.replace('\\', '/').split('/')
    )


def _categories(report: Report, entries: list[Any]) -> dict[int, str]:
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


def _images(report: Report, entries: list[Any]) -> dict[int, tuple[float, float] | None]:
    """Image id -> stated width and height, or None if they are unknown."""
    sizes: dict[int, tuple[float, float] | None] = {}
    names: Counter[str] = Counter()
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


def _annotations(
    report: Report, entries: list[Any], sizes: dict[int, tuple[float, float] | None], categories: dict[int, str]
) -> None:
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
            report.note(
                reason,
                f'{what}: area {area:g}'
                if reason == 'area' and area is not None
                else f'{what}: bbox {_said(box)}'
                if box
                else what,
            )
        report.learned += box is not None and reason is None
        _segmentation(report, what, entry.get('segmentation'))
    # Without any annotations, unused categories and images are not worth a note.
    if entries:
        for number in (number for number in categories if number not in used_categories):
            report.note('unused_category', f'{shown(categories[number])}, id {number}')
        for number in (number for number in sizes if number not in used_images):
            report.note('empty_image', f'image with id {number}')
    if boxes and not report.learned:
        report.note('no_box', f'none of {len(boxes)} boxes can be used: {report.reasons}')
    if _look_like_corners(boxes):
        report.note('box_corners', f'bbox {_said(boxes[0][0])} is the first of {len(boxes)}')


def left_out(entry: dict[str, Any], size: tuple[float, float] | None) -> str | None:
    """Why MMDetection does not train on an annotation, one of :data:`.LEFT_OUT`; None if it does.

    An invalid box is not a reason here. ``size`` is the width and height of the image in pixels, or None if unknown.
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
    """Whether all boxes match their images as x1, y1, x2, y2, but half of them do not as x, y, width, height."""
    known = [(box, size) for box, size in boxes if size is not None]
    far = sum(x + w > _FAR_OUTSIDE * width or y + h > _FAR_OUTSIDE * height for (x, y, w, h), (width, height) in known)
    return 2 * far > len(boxes) and all(
        x1 <= x2 <= width + _OUTSIDE and y1 <= y2 <= height + _OUTSIDE for (x1, y1, x2, y2), (width, height) in known
    )


def _box(report: Report, what: str, entry: dict[str, Any], size: tuple[float, float] | None) -> list[float] | None:
    """Check the box of an annotation. Returns its four numbers, or None if it is invalid."""
    if 'bbox' not in entry:
        report.note('field_missing', f'{what}: bbox')
        return None
    box = entry['bbox']
    if not isinstance(box, list) or len(box) != 4:
        report.note('box_length', f'{what}: bbox is {shown(box)}, expected [x, y, width, height]')
        return None
    numbers = [number for value in box if (number := as_float(value)) is not None]
    if len(numbers) < len(box):
        wrong = next(value for value in box if as_float(value) is None)
        report.note('field_type', f'{what}: bbox contains {shown(wrong)}, expected a number')
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
    # Training stores it for every detector; deep nesting would overflow the stack there.
    for polygon in value if isinstance(value, list) else ():
        if isinstance(polygon, list) and {list, dict} & set(map(type, polygon)):
            report.note('segmentation_nested', f'{what}: segmentation')
            return


def _files(report: Report, entries: list[Any], folder: str | os.PathLike[str], reader: dict[str, Any]) -> None:
    listed = [
        (index, entry)
        for index, entry in enumerate(entries)
        if isinstance(entry, dict)
        and isinstance(entry.get('file_name'), str)
        and entry['file_name']
        and not leaves_folder(entry['file_name'])
    ]
    checks = check_image_files((os.path.join(folder, entry['file_name']) for _, entry in listed), **reader)
    for (index, entry), check in zip(listed, checks):
        if check.kind or check.size is None:
            report.note(check.kind or 'image_broken', f'image {index}: {check.fault}')
            continue
        stated = as_float(entry.get('width')), as_float(entry.get('height'))
        if all(side is not None and 0 < side < math.inf for side in stated) and stated != check.size:
            report.note(
                'image_size',
                f'image {index} ({shown(entry["file_name"])}): {check.size[0]} x '
                f'{check.size[1]}, stated {stated[0]:g} x {stated[1]:g}',
            )


def _objects(report: Report, kind: str, entries: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries that are JSON objects, each with its name for messages. They are counted from 0."""
    for index, entry in enumerate(entries):
        if isinstance(entry, dict):
            yield f'{kind} {index}', entry
        else:
            report.note('entry', f'{kind} {index} is {shown(entry)}')


def _field(report: Report, what: str, entry: dict[str, Any], key: str, kind: str = '64-bit integer') -> Any:
    """The value of a field. If it is missing or of the wrong type, it is noted, and None is returned."""
    if key not in entry:
        report.note('field_missing', f'{what}: {key}')
    elif not _KINDS[kind](entry[key]):
        expected = kind if kind == 'text' else f'a {kind}'
        report.note('field_type', f'{what}: {key} is {shown(entry[key])}, expected {expected}')
    else:
        return entry[key]
    return None


def is_box(value: Any) -> bool:
    """Whether a value is a list of four finite numbers."""
    return isinstance(value, list) and len(value) == 4 and all(map(is_number, value))


def is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    number = as_float(value)
    return number is not None and math.isfinite(number)


def is_integer(value: Any) -> bool:
    """Whether a value is an integer of at most 64 bits, as required for ids."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def as_float(value: Any) -> float | None:
    """A number as float, infinity if it is too large; None for a value that is not a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


# Type of a field, as named in messages -> its check.
_KINDS: dict[str, Callable[[Any], bool]] = {
    '64-bit integer': is_integer,
    'number': is_number,
    'positive number': lambda value: is_number(value) and value > 0,
    'text': lambda value: isinstance(value, str) and value != '',
}
