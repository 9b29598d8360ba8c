"""Read COCO annotation files that may be invalid."""

from __future__ import annotations

import codecs
import json
import os
from typing import Any

from ..utils.errors import UserError

__all__ = [
    'LISTS',
    'as_annotations',
    'has_byte_order_mark',
    'image_sizes',
    'of_images',
    'read_annotations',
    'read_json',
]

#: The lists of an annotation file.
LISTS = ('images', 'annotations', 'categories')


def read_annotations(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read an annotation file. It has the three lists, but their entries are not checked.

    Raises:
        FileNotFoundError: If the file does not exist.
        UserError: If it is not JSON, or lacks one of the lists.
    """
    return as_annotations(read_json(path), path)


def as_annotations(content: Any, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Check that the content of a JSON file is that of an annotation file, and return it.

    Raises:
        UserError: If it lacks one of the lists.
    """
    for key in LISTS:
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise UserError(
                f'{path} has no list "{key}". Expected a COCO annotation file with images, annotations and categories.'
            )
    return content


def read_json(path: str | os.PathLike[str]) -> Any:
    """Parse a JSON file.

    Raises:
        FileNotFoundError: If the file does not exist.
        UserError: If it cannot be read, is not JSON, or is nested too deeply.
    """
    try:
        with open(path, encoding='utf-8-sig') as file:  # editors on Windows write a byte order mark
            return json.load(file)
    except FileNotFoundError:
        raise
    except IsADirectoryError:
        raise UserError(f"{path} is a folder. Expected a .json file in COCO's format.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}). Expected a .json file in COCO's format.") from None


def image_sizes(annotations: dict[str, Any]) -> dict[int, tuple[float, float]]:
    """Image id -> (width, height) in pixels. The annotations must be checked."""
    return {image['id']: (image['width'], image['height']) for image in annotations['images']}


def of_images(annotations: dict[str, Any], ids: set[int]) -> dict[str, Any]:
    """The part of checked annotations that belongs to these images."""
    return dict(
        annotations,
        images=[image for image in annotations['images'] if image['id'] in ids],
        annotations=[one for one in annotations['annotations'] if one['image_id'] in ids],
    )


def has_byte_order_mark(path: str | os.PathLike[str]) -> bool:
    """Whether a file starts with a byte order mark, as editors on Windows write it. MMDetection cannot read it."""
    with open(path, 'rb') as file:
        return file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
