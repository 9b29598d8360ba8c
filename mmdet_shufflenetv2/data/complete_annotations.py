"""Complete COCO annotations: fill in fields that some tools omit, and normalize fields that they write differently."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from ..utils.images import check_image_file
from .audit import is_box, is_integer, is_number, leaves_folder

__all__ = ['class_name', 'complete_annotations', 'has_area', 'used_categories']

# Flags as some tools write them.
_FLAGS = {None: 0, False: 0, True: 1, '0': 0, '1': 1, 'false': 0, 'true': 1, '': 0}


def complete_annotations(annotations: dict[str, list[Any]], folder: Path) -> dict[str, list[Any]]:
    """Fill in missing image sizes, annotation ids, areas and ``iscrowd``, and normalize other fields.

    - An area that is not positive becomes the area of the box. MMDetection would drop the box.
    - A box with ``ignore`` also becomes a crowd. Otherwise pycocotools would count it as a missed object.
    - Flags become 0 or 1. Category names that are numbers become text. Backslashes in file names become slashes.

    Invalid entries stay unchanged, so that :func:`.audit` reports them.

    Args:
        annotations: The result of :func:`.read_annotations`. It is not changed.
        folder: The folder of the images.
    """
    return dict(
        annotations,
        images=[_full_image(image, folder) for image in annotations['images']],
        annotations=[_full(one, number) for number, one in enumerate(annotations['annotations'], start=1)],
        categories=[
            dict(category, name=name) if (name := class_name(category)) is not None else category
            for category in annotations['categories']
        ],
    )


def class_name(category: Any) -> str | None:
    """The name of a category as text, also if it is a number; None for an entry without an id and a name."""
    if not isinstance(category, dict) or not is_integer(category.get('id')):
        return None
    name = category.get('name')
    return str(name) if is_integer(name) or (isinstance(name, str) and name) else None


def used_categories(annotations: dict[str, list[Any]]) -> Counter[int]:
    """Category id -> number of annotations."""
    return Counter(
        one['category_id']
        for one in annotations['annotations']
        if isinstance(one, dict) and isinstance(one.get('category_id'), int)
    )


def has_area(annotation: dict[str, Any]) -> bool:
    """Whether an annotation has a positive area."""
    area = annotation.get('area')
    return area is not None and is_number(area) and area > 0


def _full_image(image: Any, folder: Path) -> Any:
    name = image.get('file_name') if isinstance(image, dict) else None
    if not isinstance(name, str):
        return image
    full = dict(image, file_name=name.replace('\\', '/'))
    if (
        not {'width', 'height'} <= image.keys()
        and not leaves_folder(name)
        and (size := check_image_file(folder / full['file_name']).size)
    ):
        full.update(width=size[0], height=size[1])
    return full


def _full(annotation: Any, number: int) -> Any:
    if not isinstance(annotation, dict):
        return annotation
    full: dict[str, Any] = dict(id=number, iscrowd=0) | annotation
    for key in ('iscrowd', 'ignore'):
        if key in full and isinstance(value := full[key], (str, bool, type(None))):
            full[key] = _FLAGS.get(value.lower() if isinstance(value, str) else value, value)
    if full.get('ignore'):
        full['iscrowd'] = 1
    box: Any = full.get('bbox')
    if not has_area(full) and is_box(box) and min(box[2:]) > 0:
        full['area'] = box[2] * box[3]
    return full
