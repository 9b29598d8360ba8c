"""Recognize annotations in formats that are not supported, and say what to do instead."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from ...utils.images import files_below
from .label_files import SUFFIXES, format_of

__all__ = ['find_foreign']

# Maximum number of files that are checked.
_MANY = 2000
_ADVICE = {
    'TFRecord': 'is a TFRecord, which is not supported. Export the data as COCO or YOLO from the tool that wrote it',
    'COCO results': 'contains COCO results (a list of detections), not annotations. Name the annotations that the '
    'detector was evaluated on',
}


def find_foreign(root: Path) -> str | None:
    """A sentence about annotations inside a folder that cannot be read; None if there are none."""
    for path in islice(files_below(root, SUFFIXES), _MANY):
        if name := format_of(path):
            said = _ADVICE.get(
                name,
                f'is in the format {name}, but in a subfolder that is not searched. Name the '
                f'folder that contains it and its images: data={path.parent}',
            )
            return f'{path} {said}'
    return None
