"""What tools leave out of annotation files in COCO's format or write in other ways, and what can be told from the rest.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from ..utils.images import check_image_file
from .audit import is_box, is_number, is_whole, leaves_folder

__all__ = ['class_name', 'complete_annotations', 'has_area', 'used_categories']

# Flags as some write them.
_FLAGS = {None: 0, False: 0, True: 1, '0': 0, '1': 1, 'false': 0, 'true': 1, '': 0}


def complete_annotations(annotations: dict[str, list], folder: Path) -> dict[str, list]:
    """Annotations with the sizes of images, and with ids, areas and ``iscrowd`` of objects, where they are missing.

    An area that is no positive number becomes that of the box: MMDetection would leave the box out. A box to be ignored
    becomes a crowd, too: pycocotools would count it as an object that was missed. Flags become 0 or 1, numbers that
    name a category text, and backslashes in file names, which Windows takes for slashes, slashes.

    Entries that are no objects, or hold something else than they should, stay as they are, for :func:`.audit` to find.
    What is given, as :func:`.read_annotations` returns it, is not changed; the images are in ``folder``.
    """
    return dict(annotations, images=[_full_image(image, folder) for image in annotations['images']],
                annotations=[_full(one, place) for place, one in enumerate(annotations['annotations'], start=1)],
                categories=[dict(category, name=name) if (name := class_name(category)) is not None else category
                            for category in annotations['categories']])


def class_name(category: Any) -> str | None:
    """The name of a category that has an id and a name, which may be a number; None for any other entry."""
    if not isinstance(category, dict) or not is_whole(category.get('id')):
        return None
    name = category.get('name')
    return str(name) if is_whole(name) or (isinstance(name, str) and name) else None


def used_categories(annotations: dict[str, list]) -> Counter[int]:
    """How many annotations are of each category, as far as they name one by its id."""
    return Counter(one['category_id'] for one in annotations['annotations']
                   if isinstance(one, dict) and isinstance(one.get('category_id'), int))


def has_area(annotation: dict[str, Any]) -> bool:
    """Whether an annotation states an area that can be one."""
    area = annotation.get('area')
    return is_number(area) and area > 0


def _full_image(image: Any, folder: Path) -> Any:
    name = image.get('file_name') if isinstance(image, dict) else None
    if not isinstance(name, str):
        return image
    full = dict(image, file_name=name.replace('\\', '/'))
    if not {'width', 'height'} <= image.keys() and not leaves_folder(name) and (
            size := check_image_file(folder / full['file_name']).size):
        full.update(width=size[0], height=size[1])
    return full


def _full(annotation: Any, place: int) -> Any:
    if not isinstance(annotation, dict):
        return annotation
    full = dict(id=place, iscrowd=0) | annotation
    for key in ('iscrowd', 'ignore'):
        if key in full and isinstance(value := full[key], (str, bool, type(None))):
            full[key] = _FLAGS.get(value.lower() if isinstance(value, str) else value, value)
    if full.get('ignore'):
        full['iscrowd'] = 1
    if not has_area(full) and is_box(box := full.get('bbox')) and min(box[2:]) > 0:
        full['area'] = box[2] * box[3]
    return full
