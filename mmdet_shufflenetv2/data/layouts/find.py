"""Which layout a folder has."""

from __future__ import annotations

import os
from pathlib import Path

from ...utils.errors import UserError
from ..problems import few
from .coco import find_annotation_files, read_coco
from .description import UserDataset
from .other_formats import find_foreign
from .yolo import DESCRIPTIONS, find_description, is_description, read_yolo, unreadable_yaml

__all__ = ['EXPECTED', 'read_user_dataset']

EXPECTED = ('Expected COCO\'s format: annotations/*train*.json, or train/_annotations.coco.json, with the images '
            'beside it; or YOLO\'s: a .yaml or obj.data with names, train and val, and images/, labels/')

# What folders inside a data set are called.
_PARTS = ('images', 'labels', 'annotations', 'train', 'val', 'valid', 'test')
_ARCHIVES = ('.zip', '.tar', '.gz', '.tgz', '.7z', '.rar')


def read_user_dataset(root: str | os.PathLike) -> UserDataset:
    """Recognise a data set by its folder, or the ``.yaml`` or ``.data`` of YOLO's format, and read its annotations.

    Raises:
        UserError: If there is nothing of the kind, or if it is incomplete.
    """
    root = Path(root)
    if root.suffix in DESCRIPTIONS and root.is_file():
        return read_yolo(root.parent, root)
    if root.suffix.lower() in _ARCHIVES and root.is_file():
        raise UserError(f'data={root} is an archive. Unpack it and name the folder that comes out.')
    if root.is_file():
        whole = _whole(root)
        raise UserError(f'data={root} is a file. Name the folder of the data set instead' +
                        (f': data={whole}' if whole else f'. {EXPECTED}.'))
    if not root.is_dir():
        raise UserError(f'data={root}: there is no such folder. {EXPECTED}.')
    if root.name == 'annotations' and all(path.suffix == '.json' for path in root.iterdir()) and _is_data_set(
            root.absolute().parent):
        raise UserError(f'data={root} holds annotations without images. Name the whole data set: data={root.parent}')
    if annotation_files := find_annotation_files(root):
        return _noted(read_coco(root, annotation_files))
    if description := find_description(root):
        return _noted(read_yolo(root, description))
    inner = [path for path in sorted(root.iterdir()) if path.is_dir() and _is_data_set(path)]
    above = [path for path in list(root.absolute().parents)[:2] if root.name in _PARTS and _is_data_set(path)]
    if inner:
        hint = f'{"This folder in it is one" if len(inner) == 1 else "These folders in it are"}: ' + few(
            f'data={path}' for path in inner)
    elif above:
        hint = f'It is a part of one. Name the whole: data={above[0]}'
    elif foreign := find_foreign(root):
        raise UserError(f'data={root}: no data set in COCO\'s or YOLO\'s format is recognised here.\n{foreign}')
    else:
        names = sorted(f'{path.name}/' if path.is_dir() else path.name for path in root.iterdir())
        hint = f'It holds {few(names, 6) or "nothing"}'
    raise UserError(f'data={root}: no data set is recognised here. {EXPECTED}.\n{hint}.')


def _noted(data: UserDataset) -> UserDataset:
    data.notes += [f'{path.name} cannot be read as YAML, and is passed over: it does not look like a description of '
                   f'this data' for path in unreadable_yaml(data.root)]
    return data


def _is_data_set(folder: Path) -> bool:
    return bool(find_annotation_files(folder)) or any(map(is_description, folder.iterdir()))


def _whole(file: Path) -> Path | None:
    """The folder of the data set that a file in it belongs to; None where there is none."""
    for folder in (file.parent.parent, file.parent):
        if any(file in files for files in find_annotation_files(folder).values()):
            return folder
    return file.parent if _is_data_set(file.parent) else None
