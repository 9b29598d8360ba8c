"""A data set in the one form that MMDetection reads as it is, written into the work dir.

The user's files stay as they are. In the work dir each split has an annotation file in COCO's format with the same
categories in the same order, areas and sizes filled in. A file that is so already is used where it lies.
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

from ..utils.errors import UserError
from ..utils.files import write_json
from .annotation_file import has_byte_order_mark, of_images
from .audit import audit, leaves_folder
from .checks import same_but_for_spelling
from .complete_annotations import class_name, complete_annotations, has_area, used_categories
from .layouts.description import Split, UserDataset
from .problems import FATAL, LEFT_OUT, Report, shown

__all__ = [
    'FOLDER', 'Prepared', 'check_split', 'complete_and_check', 'load_prepared', 'prepare_user_dataset', 'shared_images'
]

#: Where it stands in the work dir, and its description there.
FOLDER, DESCRIPTION = 'own_data', 'data.json'

#: One image in so many is held out for validation where the data have no such split, chosen with this seed.
HELD_OUT, SEED = 5, 0


@dataclass
class Prepared:
    """A data set that a config can name."""

    format: str
    root: str
    classes: tuple[str, ...]
    #: Split -> annotation file and image folder.
    splits: dict[str, tuple[str, str]]


def prepare_user_dataset(data: UserDataset, work_dir: str | os.PathLike, classes: Sequence[str] | None = None,
                     training: bool = True) -> Prepared:
    """Write what is needed into ``WORK_DIR/own_data``.

    Args:
        data: The data set; its annotations are completed, and a validation split is taken from the training split where
            there is none.
        classes: Those of a detector that is to be evaluated, in its order; by default the data's own.
        training: Whether it is trained on. What is evaluated on may lack some of the classes.

    Raises:
        UserError: If something in the data is fatal for training, or of other classes.
    """
    classes = tuple(classes or data.classes)
    if hidden := [name for name in classes if not name.isprintable()]:
        raise UserError(f'The class name {shown(hidden[0])} holds characters that cannot be shown. Rename the class.')
    folder = Path(work_dir).absolute() / FOLDER
    as_it_is = set()
    for name, split in data.splits.items():
        found = split.annotations
        notes = check_split(data, name, classes, add=training)
        untouched = found == split.annotations and data.format == 'COCO' and split.source.is_file()
        if untouched and not has_byte_order_mark(split.source):
            as_it_is.add(name)
        data.notes += notes
    data.notes += shared_images(data)
    if 'val' not in data.splits:
        _hold_out(data)
        as_it_is.clear()
    folder.mkdir(parents=True, exist_ok=True)
    prepared = Prepared(data.format, str(data.root.absolute()), classes, {})
    for name, split in data.splits.items():
        ann_file = split.source.absolute() if name in as_it_is else folder / f'{name}.json'
        if name not in as_it_is:
            write_json(ann_file, split.annotations, indent=None)
        prepared.splits[name] = (str(ann_file), str(split.images.absolute()))
    write_json(folder / DESCRIPTION, vars(prepared))
    return prepared


def load_prepared(work_dir: str | os.PathLike) -> Prepared | None:
    """What :func:`prepare_user_dataset` has left in a work dir; None where there is nothing.

    Raises:
        UserError: If the images have gone since.
    """
    path = Path(work_dir) / FOLDER / DESCRIPTION
    if not path.is_file():
        return None
    stored = json.loads(path.read_text())
    prepared = Prepared(stored['format'], stored['root'], tuple(stored['classes']), {})
    for name, (ann_file, images) in stored['splits'].items():
        # A work dir may have been moved, its own files with it.
        inside = path.parent / Path(ann_file).name
        prepared.splits[name] = (str(inside) if inside.is_file() else ann_file, images)
        if not Path(images).is_dir():
            raise UserError(f'The data that {path.parent.parent} was trained on lay in {images}, and that folder is '
                            f'gone. Say where they are now: data=DIR')
    return prepared


def check_split(data: UserDataset, name: str, classes: Sequence[str], look: bool = False,
                add: bool = True) -> list[str]:
    """Complete a split as :func:`complete_and_check` does, which has the arguments; what to say of it.

    Raises:
        UserError: If something in it is fatal for training, or of other classes.
    """
    _refuse_other_classes(data.splits[name], classes)
    report = complete_and_check(data, name, classes, look, add)
    if report.fatal:
        first, *others = report.fatal
        more = f', and {len(others)} other problems' if others else ''
        raise UserError(f'{name}: {report.found[first]} x {FATAL[first]}: {report.examples[first][0]}{more}.\n'
                        f'To see everything: snv2 check-data {data.root}')
    return [f'{name}: {line}' for line in (*report.notes, *report.warnings())]


def complete_and_check(data: UserDataset, name: str, classes: Sequence[str], look: bool = True,
                       add: bool = True) -> Report:
    """Fill in what a split's annotations lack, and report what is wrong with the rest, its files included.

    Args:
        data, name: The data set, and its split (``train``, ``val`` or ``test``) that is changed.
        classes: What the split's categories become, in this order.
        look: Whether to look at the image files.
        add: Whether classes that the split lacks become categories, too.
    """
    split, faults = data.splits[name], data.faults.get(name, [])
    found, split.annotations = split.annotations['annotations'], _completed(split, classes, add)
    report = audit(split.annotations, split.source, split.images, look)
    for problem, example in faults:
        report.note(problem, example)
    if filled := [place for place, (old, new) in enumerate(zip(found, split.annotations['annotations']))
                  if isinstance(old, dict) and 'area' in old and not has_area(old) and has_area(new)]:
        report.notes.append(f'{len(filled)} x area {shown(found[filled[0]]["area"])} or the like: the area of the box '
                            f'is taken (annotation {filled[0]})')
    # What is wrong with the files is why nothing is left.
    flat = sum(problem in LEFT_OUT for problem, _ in faults)
    report.counts['annotations'] += flat
    if faults and report.found.keys() & {'no_images', 'no_annotations'}:
        for problem in ('no_images', 'no_annotations'):
            report.found.pop(problem, None)
        if not report.fatal:
            report.note('no_box', f'none of {flat} has an area' if flat else 'no image has a box')
    return report


def _completed(split: Split, classes: Sequence[str], add: bool) -> dict[str, list]:
    """A split's annotations with these classes as its categories, in this order, and what may be missing filled in."""
    annotations = complete_annotations(split.annotations, split.images)
    by_name = {class_name(category): category for category in annotations['categories']}
    if None in by_name:
        return annotations  # for the check to say which entry is no category
    if not add:
        return dict(annotations, categories=[by_name[name] for name in classes if name in by_name])
    # A class that the split lacks gets a number that nothing in it uses.
    numbers = [*(category['id'] for category in by_name.values()), *used_categories(annotations)]
    unused = count(max(numbers, default=0) + 1)
    return dict(annotations, categories=[by_name.get(name) or dict(id=next(unused), name=name) for name in classes])


def _refuse_other_classes(split: Split, classes: Sequence[str]) -> None:
    """No annotation may be of a category of another name; categories that nothing is of do not matter."""
    used = used_categories(split.annotations)
    others = [name for category in split.annotations['categories'] if (name := class_name(category)) is not None
              and category['id'] in used and name not in classes]
    if others:
        raise UserError(f'{split.source} has boxes of {", ".join(map(shown, others[:5]))}, not among the '
                        f'{len(classes)} classes of the training ({", ".join(classes[:5])}'
                        f'{", ..." if len(classes) > 5 else ""}).{same_but_for_spelling(others, classes)} '
                        f'Give every split the same classes.')


def shared_images(data: UserDataset) -> list[str]:
    """What to say where images to train on are evaluated on as well, under the same name in whatever folder."""
    notes, train = [], {}
    for path in _image_files(data, 'train'):
        train.setdefault(path.name, []).append(path)
    for name in ('val', 'test'):
        files = _image_files(data, name)
        shared = [path for path in files if any(_is_same(path, other) for other in train.get(path.name, ()))]
        if shared:
            notes.append(f'{len(shared)} of the {len(files)} images of {name} are in train, too: scores on them say '
                         f'nothing about other images (the first is {shown(shared[0].name)})')
    return notes


def _image_files(data: UserDataset, name: str) -> list[Path]:
    images = data.splits[name].annotations['images'] if name in data.splits else []
    return [data.splits[name].images / image['file_name'] for image in images if isinstance(image, dict)
            and isinstance(image.get('file_name'), str) and not leaves_folder(image['file_name'])]


def _is_same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and (one.samefile(other) or filecmp.cmp(one, other, shallow=False))


def _hold_out(data: UserDataset) -> None:
    train = data.splits.pop('train')
    images = train.annotations['images']
    if len(images) < 2:
        raise UserError(f'{train.source} has {len(images)} image and there is no validation split. Expected at least '
                        f'two images, of which one is held out.')
    ids = sorted(image['id'] for image in images)
    held_out = set(random.Random(SEED).sample(ids, max(len(ids) // HELD_OUT, 1)))
    parts = dict(train=set(ids) - held_out, val=held_out)
    data.splits = {name: replace(train, annotations=of_images(train.annotations, part))
                   for name, part in parts.items()} | data.splits
    data.notes.append(f'no split for validation: {len(held_out)} of the {len(ids)} training images are held out for it '
                      f'(seed {SEED})')
