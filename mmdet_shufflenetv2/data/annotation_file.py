"""Reading an annotation file in COCO's format that may be anything."""

from __future__ import annotations

import codecs
import json
import os
from typing import Any

from ..utils.errors import UserError

__all__ = ['LISTS', 'as_annotations', 'has_byte_order_mark', 'image_sizes', 'of_images', 'read_annotations',
           'read_json']

#: What such a file consists of.
LISTS = ('images', 'annotations', 'categories')


def read_annotations(path: str | os.PathLike) -> dict[str, Any]:
    """The content of an annotation file. Its three lists are there; what is in them may still be anything.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is not JSON, or lacks one of the lists.
    """
    return as_annotations(read_json(path), path)


def as_annotations(content: Any, path: str | os.PathLike) -> dict[str, Any]:
    """The content of a JSON file, where it is that of an annotation file; see :func:`read_annotations`.

    Raises:
        UserError: If it lacks one of the lists.
    """
    for key in LISTS:
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise UserError(f'{path} has no list "{key}". Expected a COCO annotation file with images, annotations '
                            f'and categories.')
    return content


def read_json(path: str | os.PathLike) -> Any:
    """Parse a JSON file.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it cannot be read, is not JSON, or nested too deeply to be an annotation file.
    """
    try:
        with open(path, encoding='utf-8-sig') as file:  # editors on Windows write a byte order mark
            return json.load(file)
    except FileNotFoundError:
        raise
    except IsADirectoryError:
        raise UserError(f'{path} is a folder. Expected a .json file in COCO\'s format.') from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f'{path} is not JSON ({error}). Expected a .json file in COCO\'s format.') from None


def image_sizes(annotations: dict[str, Any]) -> dict[int, tuple[float, float]]:
    """Width and height in pixels of each image by its id, as checked annotations state them."""
    return {image['id']: (image['width'], image['height']) for image in annotations['images']}


def of_images(annotations: dict[str, Any], ids: set[int]) -> dict[str, Any]:
    """Checked annotations of these images alone."""
    return dict(annotations, images=[image for image in annotations['images'] if image['id'] in ids],
                annotations=[one for one in annotations['annotations'] if one['image_id'] in ids])


def has_byte_order_mark(path: str | os.PathLike) -> bool:
    """Whether a file starts with the mark that editors on Windows put there, and that MMDetection cannot read."""
    with open(path, 'rb') as file:
        return file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
