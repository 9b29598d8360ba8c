"""Annotations in formats that are not read: which one it is, and what to do instead."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from ...utils.images import files_below
from .label_files import SUFFIXES, format_of

__all__ = ['find_foreign']

# So many files are looked at.
_MANY = 2000
_ADVICE = {
    'TFRecord': 'is in the format of TFRecord, which is not read. Export it as COCO or YOLO from the tool that wrote '
                'it',
    'COCO results': 'is in the format of COCO results (a list of detections), which is not read. Name the annotations '
                    'that the detector was evaluated on',
}


def find_foreign(root: Path) -> str | None:
    """A sentence about annotations below a folder that are not read as they lie there; None where there are none."""
    for path in islice(files_below(root, SUFFIXES), _MANY):
        if name := format_of(path):
            said = _ADVICE.get(name, f'is in the format of {name}, and lies too deep. Name the folder that has it and '
                                     f'its images: data={path.parent}')
            return f'{path} {said}'
    return None
