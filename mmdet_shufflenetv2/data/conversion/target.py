"""Shared parts of all writers: copying and renaming images, boxes in pixels, and counting lost annotations."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from ..layouts.description import Split, UserDataset
from ..problems import shown

__all__ = ['Target', 'WrittenBox']

# Fields that are lost in formats with only boxes -> the note about them.
_EXTRAS = {'segmentation': 'a mask or polygon is not written, only its box', 'keypoints': 'keypoints are not written'}
# Number of decimals when coordinates are read. A smaller box has no area.
_DIGITS = 3


class WrittenBox(NamedTuple):
    """A box that a format can represent."""

    name: str
    #: x1, y1, x2, y2 in pixels, inside the image.
    corners: tuple[float, float, float, float]
    #: Whether it is ignored in training and evaluation.
    ignore: bool


@dataclass
class Target:
    """The output folder of a conversion, and the data set that is expected when it is read back.

    Args:
        data: A data set with checked and complete annotations.
        root: The new folder.
    """

    data: UserDataset
    root: Path
    #: Split -> file relative to the folder -> its boxes ``(class name, x, y, width, height)``.
    written: dict[str, dict[str, list[tuple[Any, ...]]]] = field(default_factory=dict)
    #: The class names as written.
    classes: tuple[str, ...] = ()
    #: What is lost, in words -> how often, and the first example.
    lost: dict[str, tuple[int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.classes = self.classes or self.data.classes

    def lose(self, what: str, example: str) -> None:
        """Count something that the format cannot represent."""
        count, first = self.lost.get(what, (0, example))
        self.lost[what] = (count + 1, first)

    def copy_images(
        self,
        split: str,
        folder: str,
        key: Callable[[str], str],
        rename: Callable[[str], str] = str,
        taken: set[str] | None = None,
    ) -> Iterator[tuple[dict[str, Any], str, list[dict[str, Any]]]]:
        """Copy the images of a split. Yields the entry of each image, its new name in ``folder``, and its annotations.

        Args:
            split: ``train``, ``val`` or ``test``.
            folder: The folder for the images, relative to the output folder.
            key: The part of a name that must be unique, such as the stem. Upper and lower case are the same.
            rename: Makes a name valid for the format.
            taken: Keys in use. Those of this split are added.
        """
        of, taken = self.data.splits[split], set() if taken is None else taken
        annotations: dict[int, list[dict[str, Any]]] = {image['id']: [] for image in of.annotations['images']}
        for one in of.annotations['annotations']:
            annotations[one['image_id']].append(one)
        self.written[split] = {}
        for image in of.annotations['images']:
            name = _unused(PurePath(rename(image['file_name'])), key, taken)
            if name != image['file_name']:
                self.lose(
                    'an image is renamed, because its name is invalid in this format or already used',
                    f'{of.images / image["file_name"]} -> {shown(name)}',
                )
            path = self.root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(of.images / image['file_name'], path)
            self.written[split][f'{folder}/{name}'] = []
            yield image, name, annotations[image['id']]

    def record(self, split: str, file: str, name: str, box: list[float]) -> None:
        """Record a box that is expected when the data are read back. ``file`` is relative to the output folder."""
        self.written[split][file].append((name, *(round(side, _DIGITS) for side in box)))

    def boxes(self, split: Split, image: dict[str, Any], annotations: list[dict[str, Any]]) -> Iterator[WrittenBox]:
        """The boxes of an image, clipped to it. Boxes with no area inside the image are dropped."""
        names = {category['id']: category['name'] for category in split.annotations['categories']}
        for one in annotations:
            where = f'annotation {one["id"]} of {shown(image["file_name"])}'
            x, y, width, height = one['bbox']
            x1, y1, x2, y2 = (
                min(max(value, 0), most)
                for value, most in zip((x, y, x + width, y + height), (image['width'], image['height']) * 2)
            )
            if min(round(x2 - x1, _DIGITS), round(y2 - y1, _DIGITS)) <= 0:
                self.lose('a box has no area in its image, and is not written', where)
                continue
            if max(abs(new - old) for new, old in zip((x1, y1, x2, y2), (x, y, x + width, y + height))) > 1e-6:
                self.lose('a box is clipped to its image', where)
            for key, what in _EXTRAS.items():
                if one.get(key):
                    self.lose(what, where)
            yield WrittenBox(names[one['category_id']], (x1, y1, x2, y2), bool(one['iscrowd'] or one.get('ignore')))


def _unused(name: PurePath, key: Callable[[str], str], taken: set[str]) -> str:
    """A name whose key is not in ``taken``. The key is added to ``taken``."""
    candidate, number = name, 1
    while key(candidate.as_posix()).casefold() in taken:
        number += 1
        candidate = name.with_name(f'{name.stem}_{number}{name.suffix}')
    taken.add(key(candidate.as_posix()).casefold())
    return candidate.as_posix()
