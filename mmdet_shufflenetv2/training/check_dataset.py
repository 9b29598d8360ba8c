"""``snv2 check-data``: list all problems of an annotation file, a folder, or the data of a config."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..config.access import datasets_of
from ..config.load import CONFIG_SUFFIXES, load_config
from ..data.annotation_file import LISTS, as_annotations, read_json
from ..data.audit import audit
from ..data.checks import image_reader
from ..data.layouts.coco import find_image_folder
from ..data.layouts.find import read_user_dataset
from ..data.layouts.yolo import is_description
from ..data.prepared import complete_and_check, shared_images
from ..data.problems import Report
from ..utils.errors import UserError
from ..utils.files import write_json

__all__ = ['check_dataset']


def check_dataset(
    source: str | os.PathLike[str] | None = None,
    images: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
) -> list[Report]:
    """Check a data set like ``snv2 check-data``.

    Args:
        source: A COCO annotation file, a config to check its COCO data sets, or the same as ``data``.
        images: Folder of the images of the annotation file; by default searched near it.
        data: Instead of ``source``, the folder of a data set in any supported format.
        out: JSON file to write the reports to.

    Returns:
        A report for each annotation file.

    Raises:
        UserError: If there is nothing to check, or it cannot be read.
    """
    if (source is None) == (data is None):
        raise UserError(
            'Expected an annotation file (ANNOTATIONS.json images=DIR), the folder of a data set, or a config.'
        )
    if images is not None and not os.path.isdir(images):
        raise UserError(f'images={images}: folder not found.')
    if source is not None and (os.path.isdir(source) or is_description(Path(source))):
        source, data = None, source
    reports = _of_data(data) if data is not None else _of_file(Path(source or ''), images)
    if out is not None:
        written = dict(fatal=any(report.fatal for report in reports), files=[report.as_json() for report in reports])
        write_json(out, written)
    return reports


def _of_file(path: Path, images: str | os.PathLike[str] | None) -> list[Report]:
    is_code_or_yaml = path.suffix in CONFIG_SUFFIXES and path.suffix != '.json'
    if is_code_or_yaml or _is_config(content := _read(path)):
        return _of_config(path)
    annotations = as_annotations(content, path)
    return [audit(annotations, path, images or find_image_folder(path, path.absolute().parent.parent, annotations))]


def _is_config(content: Any) -> bool:
    """Whether JSON is a config and not an annotation file, which can also have an entry ``model``."""
    return isinstance(content, dict) and not content.keys() & set(LISTS) and bool(content.keys() & {'model', '_base_'})


def _read(path: str | os.PathLike[str]) -> Any:
    try:
        return read_json(path)
    except FileNotFoundError:
        raise UserError(f'Annotation file not found: {path}. Name one, or the folder of a data set: data=DIR') from None


def _of_data(root: str | os.PathLike[str]) -> list[Report]:
    data = read_user_dataset(root)
    reports = []
    for name, split in data.splits.items():
        # Complete the annotations as training does.
        reports.append(complete_and_check(data, name, data.classes))
        reports[-1].source = f'{split.source} ({name})'
    reports[0].notes = [*data.notes, *shared_images(data), *reports[0].notes]
    return reports


def _of_config(path: str | os.PathLike[str]) -> list[Report]:
    reports: dict[tuple[str, str], Report] = {}
    for dataset in datasets_of(load_config(path)):
        if 'ann_file' in dataset and str(dataset['ann_file']).endswith('.json'):
            root = dataset.get('data_root') or ''
            ann_file = os.path.join(root, dataset['ann_file'])
            folder = os.path.join(root, (dataset.get('data_prefix') or {}).get('img', ''))
            if (ann_file, folder) not in reports:
                reports[ann_file, folder] = audit(
                    as_annotations(_read(ann_file), ann_file), ann_file, folder, **image_reader(dataset)
                )
    if not reports:
        raise UserError(f'{path} has no COCO annotation file, so there is nothing to check.')
    return list(reports.values())
