"""What every layout is turned into: splits with annotations as COCO's format has them, and one list of classes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ['SPLITS', 'Format', 'Split', 'UserDataset', 'split_named']

SPLITS = ('train', 'val', 'test')
_SPLIT_NAMES = (dict.fromkeys(('train', 'training', 'trainset', 'trainval'), 'train')
                | dict.fromkeys(('val', 'valid', 'validation', 'valset', 'minival', 'dev', 'eval', 'evaluation'), 'val')
                | dict.fromkeys(('test', 'testing', 'testset'), 'test'))


def split_named(name: str) -> str | None:
    """The split that the name of a file or folder says, such as ``train`` of ``instances_train2017``; None for none."""
    words = re.split(r'[^a-z]+', name.lower())
    return next((_SPLIT_NAMES[word] for word in words if word in _SPLIT_NAMES), None)


class Format(NamedTuple):
    """A format of data sets that is read."""

    name: str
    #: What a folder is recognised by, in words.
    looked_for: str
    #: What of a folder is in this format, as ``read`` takes it; something false where nothing is.
    find: Callable[[Path], Any]
    #: Read the data set in a folder from that.
    read: Callable[[Path, Any], UserDataset]


@dataclass
class Split:
    """One part of a data set."""

    #: What it was read from, for messages.
    source: Path
    #: The folder that each ``file_name`` starts in.
    images: Path
    #: ``images``, ``annotations`` and ``categories`` in COCO's format; what is in these lists is not checked yet.
    annotations: dict[str, list]


@dataclass
class UserDataset:
    """A data set as it was found."""

    #: Its name in ``snv2 check-data --formats``, such as ``COCO``.
    format: str
    root: Path
    #: Name of each class, by label.
    classes: tuple[str, ...]
    #: ``train``, ``val``, ``test``, as far as they are there.
    splits: dict[str, Split]
    #: Faults of a split's files that its annotations do not show: split -> ``(problem, example)``.
    faults: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    #: What the user should be told.
    notes: list[str] = field(default_factory=list)
