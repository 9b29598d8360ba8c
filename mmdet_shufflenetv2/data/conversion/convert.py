"""``snv2 convert``: write a data set in another format, and check the result."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...utils.errors import UserError
from ...utils.files import unfinished_folder
from ..layouts.description import UserDataset
from ..layouts.find import read_user_dataset
from ..prepared import check_split
from ..problems import shown
from .target import Target
from .to_coco import write_coco
from .to_voc import write_voc
from .to_yolo import write_yolo

__all__ = ['convert']

_WRITERS: dict[str, Callable[[Target], None]] = dict(coco=write_coco, yolo=write_yolo, voc=write_voc)
# Coordinates are read with a precision of a thousandth of a pixel, plus the rounding of written values.
_TOLERANCE = 2e-3


def convert(data: str | os.PathLike[str], out: str | os.PathLike[str], to: str = 'coco') -> UserDataset:
    """Convert a data set to another format, and read it back to verify classes, splits and boxes.

    Args:
        data: Folder of a data set in any supported format, or a ``.yaml`` or ``.data`` file of YOLO.
        out: Folder to create. It is written completely or not at all. Images are copied unchanged.
        to: ``coco``, ``yolo`` or ``voc``.

    Returns:
        The data set as read back, with notes on ``data`` and on lost annotations.

    Raises:
        UserError: If ``data`` cannot be used for training, or ``out`` exists and is not empty.
    """
    if to not in _WRITERS:
        raise UserError(f'to={to}: expected {", ".join(_WRITERS)}.')
    source, out = Path(data), Path(out)
    _refuse_output(source, out)
    found = read_user_dataset(source)
    for name in found.splits:
        found.notes += check_split(found, name, found.classes, check_files=True)
    try:
        with unfinished_folder(out) as folder:
            target = Target(found, folder)
            _WRITERS[to](target)
    except OSError as error:
        raise UserError(f'out={out} cannot be written: {error}.') from None
    try:
        result = read_user_dataset(out)
        _refuse_difference(target, result)
    except BaseException:
        shutil.rmtree(out)
        raise
    result.notes = [
        *found.notes,
        *(f'{count} x {what} (the first: {first})' for what, (count, first) in target.lost.items()),
    ]
    return result


def _refuse_output(source: Path, out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(
            f'out={out} exists already and is {"not empty" if out.is_dir() else "a file"}. Choose a new '
            f'folder, or remove it.'
        )
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise UserError(f'out={out} is inside data={source}. Choose a folder outside of it.')


def _refuse_difference(target: Target, result: UserDataset) -> None:
    """Raise a :class:`.UserError` if the data that were read back differ from the written data."""
    said = ''
    if result.classes != target.classes:
        said = f'the classes are {shown(", ".join(result.classes))}'
    elif list(result.splits) != list(target.written):
        said = f'the splits are {", ".join(result.splits)}'
    for name, split in result.splits.items() if not said else ():
        names = {category['id']: category['name'] for category in split.annotations['categories']}
        files = {
            image['id']: os.path.relpath(split.images / image['file_name'], result.root)
            for image in split.annotations['images']
        }
        found: dict[str, list[tuple[Any, ...]]] = {Path(file).as_posix(): [] for file in files.values()}
        for one in split.annotations['annotations']:
            found[Path(files[one['image_id']]).as_posix()].append((names[one['category_id']], *one['bbox']))
        if other := sorted(found.keys() ^ target.written[name].keys()):
            said = f'the image {shown(other[0])} of {name} is in only one of them'
        elif wrong := next((file for file, boxes in found.items() if not _same(boxes, target.written[name][file])), ''):
            said = f'{name}: the boxes of {shown(wrong)} differ'
    if said:
        raise UserError(
            f'out={result.root}: the converted data differ from the original and were removed: {said}. '
            f'Convert to another format, and please report this (snv2 env).'
        )


def _same(one: list[tuple[Any, ...]], other: list[tuple[Any, ...]]) -> bool:
    return len(one) == len(other) and all(
        a[0] == b[0] and max(abs(x - y) for x, y in zip(a[1:], b[1:])) <= _TOLERANCE for a, b in zip(one, other)
    )
