"""COCO splits in several files: ``instances_train_part1.json``, ``instances_train_part2.json``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ..complete_annotations import class_name
from .description import Split

__all__ = ['join_parts', 'sorted_parts', 'without_part']

# `_part1`, `-shard-02`, `_1of4`, `-00000-of-00004`. A plain number could also be a year, a fold or a version.
_PART = re.compile(r'[-_. ]?(?:(?:part|shard|chunk|batch)[-_ ]?(\d+)|(\d+)[-_]?of[-_]?\d+)$', re.IGNORECASE)


def sorted_parts(paths: list[Path]) -> list[Path]:
    """The files sorted by their part numbers; empty if they are not all parts of one split."""
    found = [(path, _PART.search(path.stem)) for path in paths]
    if len(paths) < 2 or not all(match for _, match in found):
        return []
    bases = {(path.parent, path.stem[: match.start()]) for path, match in found if match}
    numbers = {path: int(match[1] or match[2]) for path, match in found if match}
    return (
        sorted(paths, key=numbers.__getitem__) if len(bases) == 1 and len(set(numbers.values())) == len(paths) else []
    )


def without_part(stem: str) -> str:
    """A name without the number of its part."""
    return _PART.sub('', stem) or stem


def join_parts(parts: list[Split]) -> Split:
    """Merge parts to one split. Their ids may overlap, and the same category may have different ids.

    An image in several parts becomes one image with all annotations. Invalid entries stay unchanged, so that the audit
    reports them.
    """
    folder = Path(os.path.commonpath([part.images for part in parts]))
    joined: dict[str, list[Any]] = dict(images=[], annotations=[], categories=[])
    images, categories = _Ids(), _Ids()
    for part in parts:
        inner = os.path.relpath(part.images, folder)
        ids: dict[str, dict[Any, int]] = dict(image_id={}, category_id={})
        for image in part.annotations['images']:
            if not isinstance(image, dict) or not isinstance(image.get('file_name'), str):
                joined['images'].append(image)
                continue
            name = image['file_name'] if inner == '.' else f'{Path(inner).as_posix()}/{image["file_name"]}'
            known = name in images.of
            ids['image_id'][_key(image.get('id'))] = number = images.number(name, image.get('id'))
            if not known:
                joined['images'].append(dict(image, id=number, file_name=name))
        for category in part.annotations['categories']:
            name = class_name(category)
            if name is None or name not in categories.of:
                joined['categories'].append(
                    category if name is None else dict(category, id=categories.number(name, category['id']))
                )
            if name is not None:
                ids['category_id'][category['id']] = categories.of[name]
        joined['annotations'] += [_renumbered(one, ids) for one in part.annotations['annotations']]
    _number_again(joined['annotations'])
    return Split(parts[0].source.parent, folder, joined)


class _Ids:
    """Assigns an id to each name: the one from the file if it is free."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}
        self.taken: set[int] = set()
        self.largest = 0

    def number(self, name: str, wish: Any) -> int:
        if name not in self.of:
            self.of[name] = wish if isinstance(wish, int) and wish not in self.taken else self.largest + 1
            self.taken.add(self.of[name])
            self.largest = max(self.largest, self.of[name])
        return self.of[name]


def _key(value: Any) -> Any:
    """The value if it can be a dictionary key, otherwise None."""
    return value if isinstance(value, (int, str)) else None


def _renumbered(one: Any, ids: dict[str, dict[Any, int]]) -> Any:
    """An annotation with the new ids of its image and category. An unknown id becomes -1."""
    if not isinstance(one, dict):
        return one
    return one | {key: known.get(_key(one[key]), -1) for key, known in ids.items() if key in one}


def _number_again(annotations: list[Any]) -> None:
    """Number annotations from 1 if ids are not unique, as in parts that were written separately."""
    ids = [one.get('id') for one in annotations if isinstance(one, dict)]
    if len(set(map(_key, ids))) < len(ids):
        for number, one in enumerate(annotations, 1):
            if isinstance(one, dict):
                one['id'] = number
