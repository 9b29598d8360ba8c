"""Annotations in formats that are not read: which one it is, and what makes COCO's of it."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from ...utils.images import files_below

__all__ = ['find_foreign', 'foreign_format']

# Of each file and folder, so much is read.
_HEAD, _MANY = 65536, 2000

_VOC = ('Pascal VOC (XML)', 'Convert it in Python, after pip install supervision: '
        'supervision.DetectionDataset.from_pascal_voc({images!r}, {folder!r})'
        '.as_coco("data/train", "data/train/_annotations.coco.json")')
_LABELME = ('LabelMe', 'Convert it: pip install labelme2coco; cd {folder}; labelme2coco . --export_dir .')
_CVAT = ('CVAT (XML)', 'Export it from CVAT again, as COCO 1.0 or Ultralytics YOLO Detection')
_LABEL_STUDIO = ('Label Studio (JSON)', 'Export it from Label Studio again, as COCO or YOLO')
_VIA = ('VGG Image Annotator', 'Open it there and take Annotation > Export Annotations (COCO format)')
_CREATE_ML = ('CreateML (JSON)', 'Export it as COCO from the tool that wrote it')
_CSV = ('a table (CSV)', 'Import it into a labelling tool that reads such tables, such as Roboflow, and export COCO')
_TFRECORD = ('TFRecord', 'Export it as COCO or YOLO from the tool that wrote it')
_RESULTS = ("COCO results (a list of detections)", 'Name the annotations that the detector was evaluated on')

# Suffix, and patterns of which each is in the file's head. The first that fits counts.
_FORMATS = [
    ('.json', [r'"shapes"\s*:\s*\[', r'"(imagePath|flags|version|points)"'], _LABELME),
    ('.json', [r'"(_via_settings|_via_img_metadata|file_attributes|shape_attributes)"'], _VIA),
    ('.json', [r'^\s*\[', r'"image"\s*:\s*"', r'"coordinates"'], _CREATE_ML),
    ('.json', [r'^\s*\[', r'"(data|completions|annotations)"\s*:'], _LABEL_STUDIO),
    ('.json', [r'^\s*\[', r'"image_id"', r'"score"'], _RESULTS),
    ('.xml', [r'<annotation\b', r'<object>', r'<bndbox>'], _VOC),
    ('.xml', [r'<annotations\b', r'<(image|track)\b'], _CVAT),
    ('.csv', [r'region_shape_attributes'], _VIA),
    ('.csv', [r'(?i)^[^\n]*\b(xmin|x_min|x1|bbox)|^[^\n,]+(,[\d.]+){4}'], _CSV),
    ('.tfrecord', [], _TFRECORD),
]
_SUFFIXES = tuple({suffix for suffix, _, _ in _FORMATS})


def foreign_format(path: Path) -> tuple[str, str] | None:
    """What a file holds annotations in, and what to do about it; None where no such format is recognised."""
    of_suffix = [entry for entry in _FORMATS if entry[0] == path.suffix.lower()]
    if not of_suffix or not path.is_file():
        return None
    with path.open(encoding='utf-8-sig', errors='replace') as file:
        head = file.read(_HEAD)
    return next((what for _, patterns, what in of_suffix if all(re.search(each, head) for each in patterns)), None)


def find_foreign(root: Path) -> str | None:
    """A sentence or two about annotations in such a format below a folder; None where there are none."""
    for path in islice(files_below(root, _SUFFIXES), _MANY):
        if what := foreign_format(path):
            folder, near = path.parent, [path.parents[1] / name for name in ('JPEGImages', 'images')]
            images = next(filter(Path.is_dir, near), folder)
            return (f'{path} is in the format of {what[0]}, which is not read. '
                    f'{what[1].format(folder=str(folder), images=str(images))}')
    return None
