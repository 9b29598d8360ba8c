"""Prepare a user's data set for MMDetection: complete COCO annotation files in the work dir.

The user's files are not changed. In the work dir, each split has an annotation file in COCO's format, with the same
categories in the same order and with all areas and sizes. A file that is complete already is used directly.
"""

from __future__ import annotations

import filecmp
import json
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from ..utils.errors import UserError
from ..utils.files import write_json
from .annotation_file import has_byte_order_mark, of_images
from .audit import audit, leaves_folder
from .checks import same_but_for_spelling
from .complete_annotations import class_name, complete_annotations, has_area, used_categories
from .layouts.description import Split, UserDataset
from .problems import FATAL, LEFT_OUT, Report, shown

__all__ = [
    'FOLDER',
    'Prepared',
    'check_split',
    'complete_and_check',
    'load_prepared',
    'prepare_user_dataset',
    'shared_images',
]

#: Name of the folder in the work dir, and of the description in it.
FOLDER, DESCRIPTION = 'own_data', 'data.json'

#: Without a validation split, one of this many training images is held out, chosen with this seed.
HELD_OUT, SEED = 5, 0


@dataclass
class Prepared:
    """A data set that a config can refer to."""

    format: str
    root: str
    classes: tuple[str, ...]
    #: Split -> annotation file, and folder of the images.
    splits: dict[str, tuple[str, str]]


def prepare_user_dataset(
    data: UserDataset, work_dir: str | os.PathLike[str], classes: Sequence[str] | None = None, training: bool = True
) -> Prepared:
    """Complete and check a data set, and write its annotation files to ``WORK_DIR/own_data``.

    Args:
        data: The data set. Its annotations are completed. Without a validation split, a part of the training split is
            held out.
        work_dir: The work dir of the run.
        classes: The classes of the detector to evaluate, in its order; by default those of the data.
        training: Whether these are training data. Evaluation data may lack some of the classes.

    Raises:
        UserError: If the data have a problem that prevents training, or other classes.
    """
    classes = tuple(classes or data.classes)
    if hidden := [name for name in classes if not name.isprintable()]:
        raise UserError(f'The class name {shown(hidden[0])} contains unprintable characters. Rename the class.')
    folder = Path(work_dir).absolute() / FOLDER
    unchanged = set()
    for name, split in data.splits.items():
        found = split.annotations
        notes = check_split(data, name, classes, add=training)
        is_complete = found == split.annotations and data.format == 'COCO' and split.source.is_file()
        if is_complete and not has_byte_order_mark(split.source):
            unchanged.add(name)
        data.notes += notes
    data.notes += shared_images(data)
    if 'val' not in data.splits:
        _hold_out(data)
        unchanged.clear()
    folder.mkdir(parents=True, exist_ok=True)
    prepared = Prepared(data.format, str(data.root.absolute()), classes, {})
    for name, split in data.splits.items():
        ann_file = split.source.absolute() if name in unchanged else folder / f'{name}.json'
        if name not in unchanged:
            write_json(ann_file, split.annotations, indent=None)
        prepared.splits[name] = (str(ann_file), str(split.images.absolute()))
    write_json(folder / DESCRIPTION, vars(prepared))
    return prepared


def load_prepared(work_dir: str | os.PathLike[str]) -> Prepared | None:
    """The data set that :func:`prepare_user_dataset` prepared in a work dir; None if there is none.

    Raises:
        UserError: If the images no longer exist.
    """
    path = Path(work_dir) / FOLDER / DESCRIPTION
    if not path.is_file():
        return None
    stored = json.loads(path.read_text())
    prepared = Prepared(stored['format'], stored['root'], tuple(stored['classes']), {})
    for name, (ann_file, images) in stored['splits'].items():
        # The work dir may have been moved together with its files.
        inside = path.parent / Path(ann_file).name
        prepared.splits[name] = (str(inside) if inside.is_file() else ann_file, images)
        if not Path(images).is_dir():
            raise UserError(
                f'The training data of {path.parent.parent} are missing: {images} no longer exists. Name '
                f'their new folder: data=DIR'
            )
    return prepared


def check_split(
    data: UserDataset, name: str, classes: Sequence[str], check_files: bool = False, add: bool = True
) -> list[str]:
    """Complete and check a split, and return notes for the user. Arguments are as in :func:`complete_and_check`.

    Raises:
        UserError: If it has a problem that prevents training, or other classes.
    """
    _refuse_other_classes(data.splits[name], classes)
    report = complete_and_check(data, name, classes, check_files, add)
    if report.fatal:
        first, *others = report.fatal
        more = f', and {len(others)} other problems' if others else ''
        raise UserError(
            f'{name}: {report.found[first]} x {FATAL[first]}: {report.examples[first][0]}{more}.\n'
            f'To list all problems: snv2 check-data {data.root}'
        )
    return [f'{name}: {line}' for line in (*report.notes, *report.warnings())]


def complete_and_check(
    data: UserDataset, name: str, classes: Sequence[str], check_files: bool = True, add: bool = True
) -> Report:
    """Complete the annotations of a split, and report problems of annotations and files.

    Args:
        data, name: The data set, and its split (``train``, ``val`` or ``test``). It is changed in place.
        classes: The new categories of the split, in this order.
        check_files: Whether to check the image files, too.
        add: Whether to add categories for classes that the split lacks.
    """
    split, faults = data.splits[name], data.faults.get(name, [])
    found, split.annotations = split.annotations['annotations'], _completed(split, classes, add)
    report = audit(split.annotations, split.source, split.images, check_files)
    for problem, example in faults:
        report.note(problem, example)
    if filled := [
        index
        for index, (old, new) in enumerate(zip(found, split.annotations['annotations']))
        if isinstance(old, dict) and 'area' in old and not has_area(old) and has_area(new)
    ]:
        report.notes.append(
            f'{len(filled)} x invalid area, such as {shown(found[filled[0]]["area"])}: the area of the '
            f'box is used (annotation {filled[0]})'
        )
    # If nothing is left, faults of the files are the reason.
    flat = sum(problem in LEFT_OUT for problem, _ in faults)
    report.counts['annotations'] += flat
    if faults and report.found.keys() & {'no_images', 'no_annotations'}:
        for problem in ('no_images', 'no_annotations'):
            report.found.pop(problem, None)
        if not report.fatal:
            report.note('no_box', f'none of {flat} has an area' if flat else 'no image has a box')
    return report


def _completed(split: Split, classes: Sequence[str], add: bool) -> dict[str, list[Any]]:
    """The completed annotations of a split, with these classes as categories in this order."""
    annotations = complete_annotations(split.annotations, split.images)
    by_name = {class_name(category): category for category in annotations['categories']}
    if None in by_name:
        return annotations  # the check reports the invalid category
    if not add:
        return dict(annotations, categories=[by_name[name] for name in classes if name in by_name])
    # A class that the split lacks gets an unused id.
    numbers = [*(category['id'] for category in by_name.values()), *used_categories(annotations)]
    unused = count(max(numbers, default=0) + 1)
    return dict(annotations, categories=[by_name.get(name) or dict(id=next(unused), name=name) for name in classes])


def _refuse_other_classes(split: Split, classes: Sequence[str]) -> None:
    """Reject annotations of other classes. Unused categories do not matter."""
    used = used_categories(split.annotations)
    others = [
        name
        for category in split.annotations['categories']
        if (name := class_name(category)) is not None and category['id'] in used and name not in classes
    ]
    if others:
        raise UserError(
            f'{split.source} has boxes of {", ".join(map(shown, others[:5]))}, which are not among the '
            f'{len(classes)} classes of the training ({", ".join(classes[:5])}'
            f'{", ..." if len(classes) > 5 else ""}).{same_but_for_spelling(others, classes)} '
            f'Use the same classes in all splits.'
        )


def shared_images(data: UserDataset) -> list[str]:
    """Notes about evaluation images that are training images, too: the same file name and content, in any folder."""
    notes: list[str] = []
    train: dict[str, list[Path]] = {}
    for path in _image_files(data, 'train'):
        train.setdefault(path.name, []).append(path)
    for name in ('val', 'test'):
        files = _image_files(data, name)
        shared = [path for path in files if any(_is_same(path, other) for other in train.get(path.name, ()))]
        if shared:
            notes.append(
                f'{len(shared)} of the {len(files)} images of {name} are also in train, so its scores are too '
                f'optimistic (the first is {shown(shared[0].name)})'
            )
    return notes


def _image_files(data: UserDataset, name: str) -> list[Path]:
    images = data.splits[name].annotations['images'] if name in data.splits else []
    return [
        data.splits[name].images / image['file_name']
        for image in images
        if isinstance(image, dict) and isinstance(image.get('file_name'), str) and not leaves_folder(image['file_name'])
    ]


def _is_same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and (one.samefile(other) or filecmp.cmp(one, other, shallow=False))


def _hold_out(data: UserDataset) -> None:
    train = data.splits.pop('train')
    images = train.annotations['images']
    if len(images) < 2:
        raise UserError(
            f'{train.source} has only {len(images)} image, and there is no validation split. Expected at '
            f'least two images: one is held out for validation.'
        )
    ids = sorted(image['id'] for image in images)
    held_out = set(random.Random(SEED).sample(ids, max(len(ids) // HELD_OUT, 1)))
    parts = dict(train=set(ids) - held_out, val=held_out)
    data.splits = {
        name: replace(train, annotations=of_images(train.annotations, part)) for name, part in parts.items()
    } | data.splits
    data.notes.append(
        f'no validation split: {len(held_out)} of the {len(ids)} training images are held out for '
        f'validation (seed {SEED})'
    )
