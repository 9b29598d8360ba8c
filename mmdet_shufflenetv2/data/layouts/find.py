"""Recognize the format of a data set."""

from __future__ import annotations

import os
from pathlib import Path

from ...utils.errors import UserError
from ..problems import few
from .coco import COCO, find_annotation_files, stray_files
from .create_ml import CREATE_ML
from .csv_tables import CSV
from .cvat import CVAT
from .description import UserDataset
from .dota import DOTA
from .label_studio import LABEL_STUDIO
from .labelme import LABELME
from .ndjson import NDJSON
from .open_images import OPEN_IMAGES
from .other_formats import find_foreign
from .supervisely import SUPERVISELY
from .via import VIA
from .voc import VOC
from .yolo import DESCRIPTIONS, YOLO, is_description, read_yolo, unreadable_yaml

__all__ = ['EXPECTED', 'FORMATS', 'described_formats', 'read_user_dataset']

#: All supported formats. The first one that is found in a folder is used.
FORMATS = (
    *(COCO, YOLO, VOC, LABELME, CVAT, LABEL_STUDIO, VIA, CREATE_ML, SUPERVISELY),
    *(OPEN_IMAGES, CSV, NDJSON, DOTA),
)
EXPECTED = (
    "Expected COCO's format: annotations/*train*.json, or train/_annotations.coco.json, with the images "
    "next to it; or YOLO's: a .yaml or obj.data with names, train and val, and images/, labels/; "
    f'or {", ".join(each.name for each in FORMATS[2:])} (snv2 check-data --formats)'
)

# Names of folders inside a data set.
_PARTS = ('images', 'jpegimages', 'labels', 'annotations', 'train', 'val', 'valid', 'test')
_ARCHIVES = ('.zip', '.tar', '.gz', '.tgz', '.7z', '.rar')


def read_user_dataset(root: str | os.PathLike[str]) -> UserDataset:
    """Read the annotations of a data set in any supported format.

    Args:
        root: Its folder, or a ``.yaml`` or ``.data`` file of YOLO.

    Raises:
        UserError: If no data set is recognized, or if it is incomplete.
    """
    root = Path(root)
    if root.suffix in DESCRIPTIONS and root.is_file():
        return read_yolo(root.parent, root)
    if root.suffix.lower() in _ARCHIVES and root.is_file():
        raise UserError(f'data={root} is an archive. Unpack it and name the folder.')
    if root.is_file():
        folder = _data_set_of(root)
        raise UserError(
            f'data={root} is a file. Name the folder of the data set instead'
            + (f': data={folder}' if folder else f'. {EXPECTED}.')
        )
    if not root.is_dir():
        raise UserError(f'data={root}: folder not found. {EXPECTED}.')
    if (
        root.name == 'annotations'
        and all(path.suffix == '.json' for path in root.iterdir())
        and _is_data_set(root.absolute().parent)
    ):
        raise UserError(f'data={root} contains only annotations. Name the folder of the data set: data={root.parent}')
    for each in FORMATS:
        if found := each.find(root):
            return _noted(each.read(root, found))
    inner = [path for path in sorted(root.iterdir()) if path.is_dir() and _is_data_set(path)]
    above = [path for path in list(root.absolute().parents)[:2] if root.name.lower() in _PARTS and _is_data_set(path)]
    if inner:
        hint = 'This folder in it is a data set: ' if len(inner) == 1 else 'These folders in it are data sets: '
        hint += few(f'data={path}' for path in inner)
    elif above:
        hint = f'It is a part of a data set. Name its folder: data={above[0]}'
    elif foreign := find_foreign(root):
        raise UserError(f'data={root}: no data set recognized.\n{foreign}.')
    else:
        names = sorted(f'{path.name}/' if path.is_dir() else path.name for path in root.iterdir())
        hint = f'The folder contains {few(names, 6) or "nothing"}'
    raise UserError(f'data={root}: no data set recognized. {EXPECTED}.\n{hint}.')


def described_formats() -> str:
    """One line per format: its name, and the files that it is recognized by."""
    width = max(len(each.name) for each in FORMATS)
    return '\n'.join(f'{each.name:<{width}}  {each.looked_for}' for each in FORMATS)


def _noted(data: UserDataset) -> UserDataset:
    data.notes += [
        f'skipped {path.name}: it cannot be read as YAML and does not look like a description of this data set'
        for path in unreadable_yaml(data.root)
    ]
    data.notes += [
        f'skipped {path.relative_to(data.root)}: it has none of images, annotations and categories'
        for path in stray_files(data.root)
        if data.format in ('COCO', 'YOLO')
    ]
    return data


def _is_data_set(folder: Path) -> bool:
    return (
        bool(find_annotation_files(folder))
        or any(map(is_description, folder.iterdir()))
        or any(each.find(folder) for each in FORMATS[2:])
    )


def _data_set_of(file: Path) -> Path | None:
    """The folder of the data set that a file belongs to; None if there is none."""
    for folder in (file.parent.parent, file.parent):
        if any(file in files for files in find_annotation_files(folder).values()):
            return folder
    return next((folder for folder in (file.parent, file.parent.parent) if _is_data_set(folder)), None)
