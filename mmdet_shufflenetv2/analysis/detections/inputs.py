"""Reading a COCO results file and the annotations that it belongs to."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from ...datasets.annotation_file import as_annotations, read_json
from ...datasets.audit import as_float, audit, is_box
from ...datasets.checks import refuse_other_sizes
from ...datasets.filled_in import filled_in
from ...errors import UserError
from ...image_files import look_at_all

__all__ = ['read_annotations', 'read_results']


def read_annotations(path: str | os.PathLike, images: Path) -> dict[str, Any]:
    """A COCO annotation file, with what some tools leave out filled in.

    Args:
        path: The file.
        images: Folder of its images.

    Raises:
        UserError: If it is missing or no annotation file, if something in it is fatal, or if an image is there and has
            another size than it states.
    """
    try:
        content = read_json(path)
    except FileNotFoundError:
        raise UserError(f'--ann {path}: there is no such file.') from None
    if isinstance(content, list):
        raise UserError(f'--ann {path} is no COCO annotation file. It looks like results: those come first, without '
                        f'--ann.')
    annotations = filled_in(as_annotations(content, path), images)
    audit(annotations, path, images, look=False).refuse('an evaluation')
    files = [images / image['file_name'] for image in annotations['images']]
    refuse_other_sizes(files, look_at_all(files), [(image['width'], image['height']) for image in annotations['images']])
    return annotations


def read_results(path: str | os.PathLike, annotations: dict[str, Any]) -> list[dict[str, Any]]:
    """A COCO results file: a list of detections with ``image_id``, ``category_id``, ``bbox`` and ``score``.

    Args:
        path: The file.
        annotations: What :func:`read_annotations` read; each detection has to be of its images and categories.

    Raises:
        UserError: If the file is missing, is no such list, is empty, or belongs to other annotations.
    """
    how = 'tools/test.py CONFIG CHECKPOINT --out results.json writes one.'
    try:
        results = read_json(path)
    except FileNotFoundError:
        raise UserError(f'There is no results file {path}. {how}') from None
    if not isinstance(results, list):
        annotated = isinstance(results, dict) and 'images' in results
        raise UserError(f'{path} is no list of detections. '
                        f'{"It looks like annotations: name those with --ann." if annotated else how}')
    if not results:
        raise UserError(f'{path} holds no detection at all: nothing to analyze.')
    for place, one in enumerate(results):
        if not _is_detection(one):
            raise UserError(f'{path}: entry {place} is no detection with image_id, category_id, bbox (x, y, width, '
                            f'height) and score. {how}')
    for key, among in (('image_id', 'images'), ('category_id', 'categories')):
        known = {entry['id'] for entry in annotations[among]}
        if strays := sorted({str(one[key]) for one in results if one[key] not in known}):
            raise UserError(f'{path} has {len(strays)} values of {key} that --ann does not list, such as {strays[0]}: '
                            f'it belongs to other annotations.')
    return results


def _is_detection(entry: Any) -> bool:
    return isinstance(entry, dict) and is_box(entry.get('bbox')) and all(
        (number := as_float(entry.get(key))) is not None and math.isfinite(number)
        for key in ('image_id', 'category_id', 'score'))
