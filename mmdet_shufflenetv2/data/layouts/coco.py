"""Data sets in COCO's format: COCO's own folders, and those that Roboflow, CVAT and others export.

=============  ===========================================  ==============================================
who            annotation files                             images
=============  ===========================================  ==============================================
COCO           ``annotations/instances_train2017.json``     ``train2017/``
CVAT           ``annotations/instances_default.json``       ``images/``, ``images/default/``
Roboflow       ``train/_annotations.coco.json``             ``train/``
FiftyOne       ``train/labels.json``                        ``train/data/``
others         ``train.json``, ``annotations/train.json``   ``images/``, ``train/``, ``images/train/``
=============  ===========================================  ==============================================
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from ...utils.errors import UserError
from ...utils.images import is_clutter
from ..annotation_file import LISTS, read_annotations, read_json
from ..audit import leaves_folder
from ..complete_annotations import class_name, used_categories
from .coco_parts import join_parts, sorted_parts, without_part
from .description import SPLITS, Format, Split, UserDataset, split_named
from .label_files import format_of

__all__ = ['COCO', 'find_annotation_files', 'find_image_folder', 'read_coco', 'stray_files']

# Files of COCO that contain no boxes with classes.
_OTHER = re.compile(r'^(captions|person_keypoints|panoptic|stuff|image_info)_', re.IGNORECASE)
# COCO's official file names. They are preferred to other files for the same split, such as a subset.
_OFFICIAL = re.compile(r'^instances_[a-z]+(\d{4})?$', re.IGNORECASE)
# A trainval file. It is ignored if there is a train file, because its other images are in that or in val.
_UNION = re.compile(r'trainval', re.IGNORECASE)
_PLACES = (
    'annotations/*.json',
    '*.json',
    '*/_annotations*.json',
    '*/labels.json',
    '*/annotations.json',
    '*/coco.json',
    '*/instances*.json',
)
# Size in bytes. Settings files are smaller, most annotation files are larger.
_SMALL = 100_000
# Names of files that contain all images.
_WHOLE = {'default', 'all', 'annotations', 'labels', 'result', 'coco', 'dataset', 'instances'}


def find_annotation_files(root: Path) -> dict[str, list[Path]]:
    """Split -> the annotation files of a folder, recognized by their names."""
    found: dict[str, list[Path]] = {}
    for path in sorted({path for pattern in _PLACES for path in root.glob(pattern)}):
        if (
            not is_clutter(path.relative_to(root))
            and not _OTHER.match(path.name)
            and (split := _split_of(path, root))
            and not format_of(path)
            and not _is_stray(path)
        ):
            found.setdefault(split, []).append(path)
    if set(found) & set(SPLITS):
        found.pop('whole', None)
    if alone := [path for path in found.get('train', ()) if not _UNION.search(path.stem + path.parent.name)]:
        found['train'] = alone
    return found


def stray_files(root: Path) -> list[Path]:
    """JSON files with the name of an annotation file but another content."""
    return [
        path
        for path in sorted({path for pattern in _PLACES for path in root.glob(pattern)})
        if _split_of(path, root) and not _OTHER.match(path.name) and not format_of(path) and _is_stray(path)
    ]


def _is_stray(path: Path) -> bool:
    """Whether a JSON file is small and has none of the lists of an annotation file."""
    if path.stat().st_size > _SMALL:
        return False
    try:
        content = read_json(path)
    except UserError:
        return False  # corrupt; reading it reports the error
    return isinstance(content, dict) and bool(content) and not content.keys() & set(LISTS)


def _split_of(path: Path, root: Path) -> str | None:
    name = path.stem if path.parent in (root, root / 'annotations') else path.parent.name
    return split_named(name) or ('whole' if set(re.split(r'[^a-z]+', name.lower())) & _WHOLE else None)


def read_coco(root: Path, files: dict[str, list[Path]]) -> UserDataset:
    """Read a data set in COCO's format from the files of :func:`find_annotation_files`.

    Raises:
        UserError: If a split is ambiguous, empty or unreadable, or if its images are not found.
    """
    if 'whole' in files:
        files = {'train': files['whole']}
    if 'train' not in files:
        raise UserError(
            f'data={root} has annotations for {" and ".join(files)}, but no training split. '
            f'Expected annotations/instances_train.json or train/_annotations.coco.json.'
        )
    splits: dict[str, Split] = {}
    notes: list[str] = []
    for name in SPLITS:
        if name in files:
            paths = sorted_parts(files[name]) or [_only(name, files[name], root)]
            found = [(path, read_annotations(path)) for path in paths]
            # COCO's test annotations are not public, so the split cannot be evaluated.
            if name == 'test' and not any(annotations['annotations'] for _, annotations in found):
                notes.append(f'{paths[0].name} has no annotations, so it is not evaluated')
                continue
            parts = [
                Split(path, find_image_folder(path, root, annotations), annotations) for path, annotations in found
            ]
            splits[name] = parts[0]
            if len(parts) > 1:
                splits[name] = join_parts(parts)
                notes.append(f'{name}: merged from {", ".join(path.name for path in paths)}')
    return UserDataset('COCO', root, _classes(splits, notes), splits, notes=notes)


def _only(split: str, paths: list[Path], root: Path) -> Path:
    official = [path for path in paths if _OFFICIAL.match(path.stem)]
    candidates = official if len(official) == 1 else paths
    if len(candidates) > 1:
        raise UserError(
            f'data={root}: {len(candidates)} annotation files match the {split} split: '
            f'{", ".join(str(path.relative_to(root)) for path in candidates[:4])}. Keep one of them and '
            f'move the others to another folder.'
        )
    return candidates[0]


def find_image_folder(path: Path, root: Path, annotations: dict[str, list[Any]]) -> Path:
    """Find the folder with the images of an annotation file.

    Args:
        path: The annotation file.
        root: The folder of the data set.
        annotations: The content of the file.

    Raises:
        UserError: If it lists no images, or none of the usual folders contains them.
    """
    names: list[Any] = [image.get('file_name') for image in annotations['images'] if isinstance(image, dict)]
    names = [name.replace('\\', '/') for name in names if isinstance(name, str) and name and not leaves_folder(name)]
    if not names:
        raise UserError(
            f'{path} lists no images with a valid file_name, so there is nothing to train on. Export the '
            f'data set again, with its images.'
        )
    # `instances_train2017` -> `train2017`. Its images are in that folder or in `images/train2017`.
    tail = re.sub(r'^(instances|annotations|labels)?_?', '', path.stem) or path.stem
    bases = dict.fromkeys((path.parent, root))
    joined = without_part(tail)
    below = dict.fromkeys(
        (
            '',
            tail,
            tail.lower(),
            re.sub(r'\d+$', '', tail),
            joined,
            'images',
            f'images/{tail}',
            f'images/{tail.lower()}',
            f'images/{joined}',
            f'images/{path.parent.name}',
            'data',
            f'data/{tail}',
        )
    )
    searched = [base / folder for base in bases for folder in below if (base / folder).is_dir()]
    sample = names[:: max(len(names) // 20, 1)]
    hits = {folder: sum((folder / name).is_file() for name in sample) for folder in searched}
    best = max(hits, key=hits.__getitem__)
    if not hits[best]:
        raise UserError(
            f'The images of {path} were not found: the first is {names[0]!r}. Searched '
            f'{", ".join(str(folder) for folder in searched[:4])}. Put them into '
            f'{_usual_folder(path, root, tail)}.'
        )
    return best


def _usual_folder(path: Path, root: Path, tail: str) -> Path:
    if path.name.startswith('_annotations') or path.parent not in (root, root / 'annotations'):
        return path.parent / 'data' if path.name == 'labels.json' else path.parent
    return root / (without_part(tail) if _split_of(path, root) in SPLITS else 'images')


def _classes(splits: dict[str, Split], notes: list[str]) -> tuple[str, ...]:
    """The category names of the training split, in its order."""
    categories = [
        dict(category, name=name)
        for category in splits['train'].annotations['categories']
        if (name := class_name(category)) is not None
    ]
    used: Counter[int] = sum((used_categories(split.annotations) for split in splits.values()), Counter())
    # Roboflow adds a category with the name of the project before the classes.
    parents = [category.get('supercategory') for category in categories[1:]]
    if len(categories) > 1 and categories[0]['id'] == 0 and not used[0] and categories[0]['name'] in parents:
        notes.append(f'left out the category {categories[0]["name"]!r}, which is only the parent of the others')
        categories = categories[1:]
    names = [category['name'] for category in categories]
    if not names:
        raise UserError(
            f'{splits["train"].source} lists no category with an id and a name. Export the data set again, '
            f'with its classes.'
        )
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f'{splits["train"].source} has a duplicate category name: {twice[0]!r}. Rename one of them.')
    if unused := [category['name'] for category in categories if not used[category['id']]]:
        notes.append(f'no boxes of {", ".join(map(repr, unused[:5]))}' + (' and others' if len(unused) > 5 else ''))
    return tuple(names)


COCO = Format(
    'COCO',
    'annotations/*train*.json, train/_annotations.coco.json, train/labels.json, annotations.json',
    find_annotation_files,
    read_coco,
)
