"""The common form of all data set formats: splits with COCO annotations, and one list of classes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ['SPLITS', 'Format', 'Split', 'UserDataset', 'split_named']

SPLITS = ('train', 'val', 'test')
_SPLIT_NAMES = (
    dict.fromkeys(('train', 'training', 'trainset', 'trainval'), 'train')
    | dict.fromkeys(('val', 'valid', 'validation', 'valset', 'minival', 'dev', 'eval', 'evaluation'), 'val')
    | dict.fromkeys(('test', 'testing', 'testset'), 'test')
)


def split_named(name: str) -> str | None:
    """The split in the name of a file or folder, such as ``train`` in ``instances_train2017``; None if it has none."""
    words = re.split(r'[^a-z]+', name.lower())
    return next((_SPLIT_NAMES[word] for word in words if word in _SPLIT_NAMES), None)


class Format(NamedTuple):
    """A supported data set format."""

    name: str
    #: Description of the files that a folder is recognized by.
    looked_for: str
    #: Find the files of this format in a folder, as the second argument of ``read``. Falsy if there are none.
    find: Callable[[Path], Any]
    #: Read the data set of a folder from these files.
    read: Callable[[Path, Any], UserDataset]


@dataclass
class Split:
    """One part of a data set."""

    #: The file or folder it was read from, for messages.
    source: Path
    #: The folder that each ``file_name`` is relative to.
    images: Path
    #: ``images``, ``annotations`` and ``categories`` in COCO's format. The entries are not checked yet.
    annotations: dict[str, list[Any]]


@dataclass
class UserDataset:
    """A data set as it was read."""

    #: Its name in ``snv2 check-data --formats``, such as ``COCO``.
    format: str
    root: Path
    #: Class names by label.
    classes: tuple[str, ...]
    #: ``train``, ``val``, ``test``, if they exist.
    splits: dict[str, Split]
    #: Faults of files that the annotations do not show: split -> ``(problem, example)``.
    faults: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    #: Notes for the user.
    notes: list[str] = field(default_factory=list)
