"""What tools leave out of annotation files in COCO's format, and what can be told from the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..image_files import look_at
from .audit import is_box, leaves_folder

__all__ = ['filled_in']


def filled_in(annotations: dict[str, list], folder: Path) -> dict[str, list]:
    """Annotations with the sizes of images, and with ids, areas and ``iscrowd`` of objects, where they are missing.

    Backslashes in file names, which Windows takes for slashes, become such.

    Entries that are no objects, or hold something else than they should, stay as they are, for :func:`.audit` to find.

    Args:
        annotations: What :func:`.read_annotations` returns; it is left as it is.
        folder: Where the images are.
    """
    return dict(annotations, images=[_sized(_with_slashes(image), folder) for image in annotations['images']],
                annotations=[_full(one, place) for place, one in enumerate(annotations['annotations'], start=1)])


def _with_slashes(image: Any) -> Any:
    name = image.get('file_name') if isinstance(image, dict) else None
    return dict(image, file_name=name.replace('\\', '/')) if isinstance(name, str) and '\\' in name else image


def _sized(image: Any, folder: Path) -> Any:
    name = image.get('file_name') if isinstance(image, dict) else None
    if not isinstance(name, str) or {'width', 'height'} <= image.keys() or leaves_folder(name):
        return image
    size = look_at(folder / name).size
    return dict(image, width=size[0], height=size[1]) if size else image


def _full(annotation: Any, place: int) -> Any:
    if not isinstance(annotation, dict):
        return annotation
    full = dict(id=place, iscrowd=0) | annotation
    if 'area' not in full and is_box(box := full.get('bbox')):
        full['area'] = box[2] * box[3]
    return full
