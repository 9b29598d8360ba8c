"""Reading a COCO results file and the annotations that it belongs to."""

from __future__ import annotations

import json
import math
import os
from typing import Any

from ...errors import UserError

__all__ = ['read_annotations', 'read_results']


def read_annotations(path: str | os.PathLike) -> dict[str, Any]:
    """A COCO annotation file, with ``area`` and ``iscrowd`` filled in where a tool has left them out.

    Raises:
        UserError: If it is missing or no annotation file.
    """
    content = _read_json(path, '--ann')
    lists = ('images', 'annotations', 'categories')
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in lists):
        hint = ' It looks like results: those come first, without --ann.' if isinstance(content, list) else ''
        raise UserError(f'--ann {path} is no COCO annotation file with images, annotations and categories.{hint}')
    for annotation in content['annotations']:
        if not _is_box(annotation.get('bbox')):
            raise UserError(f'--ann {path}: annotation {annotation.get("id")} has no bbox (x, y, width, height).')
        annotation.setdefault('area', annotation['bbox'][2] * annotation['bbox'][3])
        annotation.setdefault('iscrowd', 0)
    return content


def read_results(path: str | os.PathLike, annotations: dict[str, Any]) -> list[dict[str, Any]]:
    """A COCO results file: a list of detections with ``image_id``, ``category_id``, ``bbox`` and ``score``.

    Args:
        path: The file.
        annotations: What :func:`read_annotations` read; each detection has to be of its images and categories.

    Raises:
        UserError: If the file is missing, is no such list, is empty, or belongs to other annotations.
    """
    how = 'tools/test.py CONFIG CHECKPOINT --out results.json writes one.'
    results = _read_json(path, 'results file')
    if not isinstance(results, list):
        hint = 'It looks like annotations: name those with --ann.' if 'images' in results else how
        raise UserError(f'{path} is no list of detections. {hint}')
    if not results:
        raise UserError(f'{path} holds no detection at all: nothing to analyze.')
    for place, one in enumerate(results):
        if not isinstance(one, dict) or not {'image_id', 'category_id', 'score'} <= set(one) or not _is_box(
                one.get('bbox')):
            raise UserError(f'{path}: entry {place} is no detection with image_id, category_id, bbox (x, y, width, '
                            f'height) and score. {how}')
    for key, among in (('image_id', 'images'), ('category_id', 'categories')):
        known = {entry['id'] for entry in annotations[among]}
        if strays := sorted({str(one[key]) for one in results if one[key] not in known}):
            raise UserError(f'{path} has {len(strays)} values of {key} that --ann does not list, such as {strays[0]}: '
                            f'it belongs to other annotations.')
    return results


def _read_json(path: str | os.PathLike, what: str) -> Any:
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except FileNotFoundError:
        raise UserError(f'There is no {what} {path}.' if what[0] != '-' else f'{what} {path}: there is no such '
                        f'file.') from None
    except IsADirectoryError:
        raise UserError(f'{path} is a folder; expected a .json file in it.') from None
    except (ValueError, RecursionError) as error:
        raise UserError(f'{path} is not JSON ({str(error)[:80]}). Expected COCO\'s format, which tools/test.py --out '
                        f'results.json writes.') from None


def _is_box(box: Any) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(
        isinstance(value, (int, float)) and math.isfinite(value) for value in box)
