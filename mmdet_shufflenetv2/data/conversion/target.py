"""What the writers of all formats share: names of the copied images, boxes in pixels, and counts of what is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from ..layouts.description import Split, UserDataset
from ..problems import shown

__all__ = ['Target', 'WrittenBox']

# What is lost where a format has boxes alone: field of an annotation -> in words.
_EXTRAS = {'segmentation': 'a mask or polygon is not written, its box is', 'keypoints': 'keypoints are not written'}
# Coordinates are read to so many digits: a smaller box has no area then.
_DIGITS = 3


class WrittenBox(NamedTuple):
    """A box that a format can hold."""

    name: str
    #: x1, y1, x2, y2 in pixels, inside the image.
    corners: tuple[float, float, float, float]
    #: Whether it is neither learned from nor evaluated on.
    ignore: bool


@dataclass
class Target:
    """A folder that a data set is written into, and what reading it should give.

    Args:
        data: A data set whose annotations are checked and complete.
        root: The new folder.
    """

    data: UserDataset
    root: Path
    #: Split -> file, below the folder -> its boxes, as ``(class name, x, y, width, height)``.
    written: dict[str, dict[str, list[tuple[Any, ...]]]] = field(default_factory=dict)
    #: The names of the classes as they are written.
    classes: tuple[str, ...] = ()
    #: What cannot be written, in words -> how often, and the first of it.
    lost: dict[str, tuple[int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.classes = self.classes or self.data.classes

    def lose(self, what: str, example: str) -> None:
        """Count something that the format cannot hold."""
        count, first = self.lost.get(what, (0, example))
        self.lost[what] = (count + 1, first)

    def copy_images(self, split: str, folder: str, key: Callable[[str], str], rename: Callable[[str], str] = str,
                    taken: set[str] | None = None) -> Iterator[tuple[dict[str, Any], str, list[dict[str, Any]]]]:
        """Copy the images of a split; each one's entry, its new file below ``folder``, and its annotations.

        Args:
            split: ``train``, ``val`` or ``test``.
            folder: Where they go, below the new folder.
            key: What no two names may have in common, such as the stem; capitals do not count.
            rename: What makes a name one that the format can have.
            taken: Keys that are in use, to which those of this split are added.
        """
        of, taken = self.data.splits[split], set() if taken is None else taken
        annotations: dict[int, list[dict[str, Any]]] = {image['id']: [] for image in of.annotations['images']}
        for one in of.annotations['annotations']:
            annotations[one['image_id']].append(one)
        self.written[split] = {}
        for image in of.annotations['images']:
            name = _unused(PurePath(rename(image['file_name'])), key, taken)
            if name != image['file_name']:
                self.lose('an image gets another name, as the format cannot have its own, or it is taken',
                          f'{of.images / image["file_name"]} -> {shown(name)}')
            path = self.root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(of.images / image['file_name'], path)
            self.written[split][f'{folder}/{name}'] = []
            yield image, name, annotations[image['id']]

    def record(self, split: str, file: str, name: str, box: list[float]) -> None:
        """Note a box that reading should give; ``file`` is below the new folder."""
        self.written[split][file].append((name, *(round(side, _DIGITS) for side in box)))

    def boxes(self, split: Split, image: dict[str, Any], annotations: list[dict[str, Any]]) -> Iterator[WrittenBox]:
        """The boxes of an image, cut off at its borders; those that have no area there are lost."""
        names = {category['id']: category['name'] for category in split.annotations['categories']}
        for one in annotations:
            where = f'annotation {one["id"]} of {shown(image["file_name"])}'
            x, y, width, height = one['bbox']
            x1, y1, x2, y2 = (min(max(value, 0), most) for value, most in zip(
                (x, y, x + width, y + height), (image['width'], image['height']) * 2))
            if min(round(x2 - x1, _DIGITS), round(y2 - y1, _DIGITS)) <= 0:
                self.lose('a box has no area in its image, and is not written', where)
                continue
            if max(abs(new - old) for new, old in zip((x1, y1, x2, y2), (x, y, x + width, y + height))) > 1e-6:
                self.lose('a box is cut off at the border of its image', where)
            for key, what in _EXTRAS.items():
                if one.get(key):
                    self.lose(what, where)
            yield WrittenBox(names[one['category_id']], (x1, y1, x2, y2), bool(one['iscrowd'] or one.get('ignore')))


def _unused(name: PurePath, key: Callable[[str], str], taken: set[str]) -> str:
    """A name whose key is not taken, which it is from now on."""
    candidate, number = name, 1
    while key(candidate.as_posix()).casefold() in taken:
        number += 1
        candidate = name.with_name(f'{name.stem}_{number}{name.suffix}')
    taken.add(key(candidate.as_posix()).casefold())
    return candidate.as_posix()
