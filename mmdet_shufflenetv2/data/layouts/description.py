"""What every layout is turned into: splits with annotations as COCO's format has them, and one list of classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ['SPLITS', 'Split', 'UserDataset']

SPLITS = ('train', 'val', 'test')


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

    #: ``COCO`` or ``YOLO``.
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
