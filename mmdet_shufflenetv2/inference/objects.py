"""The objects of a frame: detections with tracking ids, and filters by class, size and region."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..config.options import PredictOptions
from ..deploy.exported import Detections
from ..utils.errors import UserError

__all__ = ['Objects', 'Region', 'has_wanted_size', 'wanted_labels']

_EXPECTED = 'expected X1 Y1 X2 Y2 in pixels, the corners of a polygon X Y X Y X Y ..., or a .json file of them'


class Objects(NamedTuple):
    """Detections of a frame as in :class:`.Detections`, with tracking ids."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    #: ``(N,)`` int64: the same id for the same object in each frame of a video; -1 for none.
    ids: np.ndarray

    @classmethod
    def untracked(cls, found: Detections) -> Objects:
        """Detections without ids."""
        return cls(*found, np.full(len(found.scores), -1))

    def only(self, keep: np.ndarray) -> Objects:
        """Select objects by a mask or indices ``(N,)``."""
        return Objects(*(part[keep] for part in self))


def wanted_labels(names: Sequence[str] | None, classes: Sequence[str]) -> list[int]:
    """The labels of the named classes, or all labels if ``names`` is None.

    Raises:
        UserError: If the detector does not have a class.
    """
    if names is None:
        return list(range(len(classes)))
    for name in names:
        if name not in classes:
            near = difflib.get_close_matches(name, classes, n=1)
            hint = f' Did you mean {near[0]!r}?' if near else ''
            raise UserError(f'classes={name!r}: unknown class.{hint} The classes are {", ".join(classes)}.')
    return [classes.index(name) for name in names]


def has_wanted_size(boxes: np.ndarray, options: PredictOptions) -> np.ndarray:
    """Whether the longer side of each box ``(N, 4)`` is at least ``min_size`` and at most ``max_size`` pixels."""
    longer = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    least, most = options.min_size or 0, np.inf if options.max_size is None else options.max_size
    return (longer >= least) & (longer <= most)


class Region:
    """A part of the image. An object is inside if the center of its box is inside.

    Args:
        region: Four numbers x1, y1, x2, y2 in pixels; or six and more, the corners of a polygon; or a ``.json`` file
            with a list of corners ``[[x, y], ...]``, several such lists, or LabelMe's format. Two corners are a
            rectangle. None is the complete image.

    Raises:
        UserError: If the region is invalid.
    """

    def __init__(self, region: Sequence[Any] | str | os.PathLike[str] | None) -> None:
        self._given = region if isinstance(region, (str, os.PathLike)) else ' '.join(map(str, region or ()))
        #: Arrays ``(K, 2)``.
        self.polygons: list[np.ndarray] = (
            [] if region is None else [self._polygon(points) for points in self._read(region)]
        )
        #: Whether it overlaps a frame so far.
        self.seen = not self.polygons

    def __call__(self, boxes: np.ndarray, height: int, width: int) -> np.ndarray:
        """Whether each box ``(N, 4)`` of an image of this size is inside."""
        if not self.polygons:
            return np.ones(len(boxes), bool)
        self.seen |= any(
            (polygon.max(axis=0) > 0).all() and (polygon.min(axis=0) < (width, height)).all()
            for polygon in self.polygons
        )
        centers = ((boxes[:, :2] + boxes[:, 2:]) / 2).tolist()
        return np.array(
            [any(cv2.pointPolygonTest(polygon, (x, y), False) >= 0 for polygon in self.polygons) for x, y in centers],
            bool,
        )

    def check_seen(self) -> None:
        """Raise a :class:`UserError` if the region does not overlap any frame."""
        if not self.seen:
            raise UserError(f'region={self._given} is outside of all images: {_EXPECTED}.')

    def _read(self, region: Sequence[Any] | str | os.PathLike[str]) -> list[Any]:
        """Read lists of corners."""
        if isinstance(region, (str, os.PathLike)):
            region = [region]
        try:
            numbers = [float(value) for value in region]
        except (TypeError, ValueError):
            if len(region) != 1:
                raise self._invalid() from None
            return _corners_in_file(Path(region[0]))
        if len(numbers) < 4 or len(numbers) % 2:
            raise self._invalid()
        return [list(zip(numbers[::2], numbers[1::2]))]

    def _polygon(self, points: Any) -> np.ndarray:
        try:
            corners = np.array(points, np.float32).reshape(-1, 2)
        except (TypeError, ValueError):
            raise self._invalid() from None
        if len(corners) == 2:
            (x1, y1), (x2, y2) = corners
            corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float32)
        if len(corners) < 3 or not np.isfinite(corners).all() or not cv2.contourArea(corners):
            raise self._invalid()
        if np.abs(corners).max() <= 1:
            raise UserError(f'region={self._given} is smaller than a pixel. Use pixels of the image, not fractions.')
        return corners

    def _invalid(self) -> UserError:
        return UserError(f'region={self._given}: {_EXPECTED}, with an area above 0.')


def _corners_in_file(path: Path) -> list[Any]:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        if isinstance(content, dict):
            return [shape['points'] for shape in content['shapes']]  # LabelMe
        return [content] if isinstance(content[0][0], (int, float)) else content
    except OSError as error:
        raise UserError(f'region={path}: {error.strerror}. {_EXPECTED[0].upper()}{_EXPECTED[1:]}.') from None
    except (ValueError, LookupError, TypeError):
        raise UserError(
            f'region={path} has no corners: expected JSON with [[x, y], [x, y], ...] in pixels, several '
            f'such lists, or a LabelMe file.'
        ) from None
