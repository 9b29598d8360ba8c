"""What tools leave out of annotation files in COCO's format or write in other ways, and what can be told from the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..utils.images import check_image_file
from .audit import as_float, is_box, leaves_folder

__all__ = ['class_name', 'complete_annotations', 'has_area']

# Flags as some write them.
_FLAGS = {None: 0, False: 0, True: 1, '0': 0, '1': 1, 'false': 0, 'true': 1, '': 0}


def complete_annotations(annotations: dict[str, list], folder: Path) -> dict[str, list]:
    """Annotations with the sizes of images, and with ids, areas and ``iscrowd`` of objects, where they are missing.

    An area that is no positive number becomes that of the box: MMDetection would leave the box out. A box to be ignored
    becomes a crowd, too: pycocotools would count it as an object that was missed. Flags become 0 or 1, numbers that
    name a category text, and backslashes in file names, which Windows takes for slashes, slashes.

    Entries that are no objects, or hold something else than they should, stay as they are, for :func:`.audit` to find.

    Args:
        annotations: What :func:`.read_annotations` returns; it is left as it is.
        folder: Where the images are.
    """
    return dict(annotations, images=[_sized(_with_slashes(image), folder) for image in annotations['images']],
                annotations=[_full(one, place) for place, one in enumerate(annotations['annotations'], start=1)],
                categories=[dict(category, name=name) if (name := class_name(category)) is not None else category
                            for category in annotations['categories']])


def class_name(category: Any) -> str | None:
    """The name of a category that has an id and a name, which may be a number; None for any other entry."""
    if not isinstance(category, dict) or not _is_whole(category.get('id')):
        return None
    name = category.get('name')
    return str(name) if _is_whole(name) or (isinstance(name, str) and name) else None


def has_area(annotation: dict[str, Any]) -> bool:
    """Whether an annotation states an area that can be one."""
    area = as_float(annotation.get('area'))
    return area is not None and 0 < area < float('inf')


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _with_slashes(image: Any) -> Any:
    name = image.get('file_name') if isinstance(image, dict) else None
    return dict(image, file_name=name.replace('\\', '/')) if isinstance(name, str) and '\\' in name else image


def _sized(image: Any, folder: Path) -> Any:
    name = image.get('file_name') if isinstance(image, dict) else None
    if not isinstance(name, str) or {'width', 'height'} <= image.keys() or leaves_folder(name):
        return image
    size = check_image_file(folder / name).size
    return dict(image, width=size[0], height=size[1]) if size else image


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
