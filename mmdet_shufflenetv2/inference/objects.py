"""The objects of a frame: detections, with the ids that a tracker gives them, and which of them are wanted."""

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
    """What is in a frame, as :class:`.Detections` has it, and ids."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    #: ``(N,)`` int64: the same number for the same object in each frame of a video; -1 where it has none.
    ids: np.ndarray

    @classmethod
    def untracked(cls, found: Detections) -> Objects:
        """Detections, none of which has an id."""
        return cls(*found, np.full(len(found.scores), -1))

    def only(self, keep: np.ndarray) -> Objects:
        """Those that a mask or indices ``(N,)`` choose."""
        return Objects(*(part[keep] for part in self))


def wanted_labels(names: Sequence[str] | None, classes: Sequence[str]) -> list[int]:
    """The labels of the named classes; all where ``names`` is None.

    Raises:
        UserError: If the detector has no such class.
    """
    if names is None:
        return list(range(len(classes)))
    for name in names:
        if name not in classes:
            near = difflib.get_close_matches(name, classes, n=1)
            hint = f' Near it: {near[0]!r}.' if near else ''
            raise UserError(f'classes={name!r} is no class of this detector.{hint} It knows {", ".join(classes)}.')
    return [classes.index(name) for name in names]


def has_wanted_size(boxes: np.ndarray, options: PredictOptions) -> np.ndarray:
    """Whether the longer side of each box ``(N, 4)`` is at least ``min_size`` and at most ``max_size`` pixels."""
    longer = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    least, most = options.min_size or 0, np.inf if options.max_size is None else options.max_size
    return (longer >= least) & (longer <= most)


class Region:
    """A part of the image; an object is in it if the center of its box is.

    Args:
        region: Four numbers, x1, y1, x2, y2 in pixels; six or more, the corners of a polygon; or a ``.json`` file with
            a list of corners ``[[x, y], ...]``, with several such lists, or one that LabelMe wrote. Two corners are
            those of a rectangle. None is the image.

    Raises:
        UserError: If it is anything else.
    """

    def __init__(self, region: Sequence[Any] | str | os.PathLike | None) -> None:
        self._given = region if isinstance(region, (str, os.PathLike)) else ' '.join(map(str, region or ()))
        #: ``(K, 2)`` each.
        self.polygons: list[np.ndarray] = [] if region is None else [
            self._polygon(points) for points in self._read(region)]
        #: Whether it has a part in the frames so far.
        self.seen = not self.polygons

    def __call__(self, boxes: np.ndarray, height: int, width: int) -> np.ndarray:
        """Whether each box ``(N, 4)`` of an image of this size is inside."""
        if not self.polygons:
            return np.ones(len(boxes), bool)
        self.seen |= any((polygon.max(axis=0) > 0).all() and (polygon.min(axis=0) < (width, height)).all()
                         for polygon in self.polygons)
        centers = ((boxes[:, :2] + boxes[:, 2:]) / 2).tolist()
        return np.array([any(cv2.pointPolygonTest(polygon, (x, y), False) >= 0 for polygon in self.polygons)
                         for x, y in centers], bool)

    def check_seen(self) -> None:
        """Raise a :class:`UserError` if no frame reached into it."""
        if not self.seen:
            raise UserError(f'region={self._given} is outside of every image, so nothing was found in it: {_EXPECTED}.')

    def _read(self, region: Sequence[Any] | str | os.PathLike) -> list[Any]:
        """Lists of corners."""
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
            raise UserError(f'region={self._given} is smaller than a pixel. Give pixels of the image, not fractions.')
        return corners

    def _invalid(self) -> UserError:
        return UserError(f'region={self._given}: {_EXPECTED}, with an area.')


def _corners_in_file(path: Path) -> list[Any]:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        if isinstance(content, dict):
            return [shape['points'] for shape in content['shapes']]  # LabelMe
        return [content] if isinstance(content[0][0], (int, float)) else content
    except OSError as error:
        raise UserError(f'region={path}: {error.strerror}. {_EXPECTED[0].upper()}{_EXPECTED[1:]}.') from None
    except (ValueError, LookupError, TypeError):
        raise UserError(f'region={path} has no corners: expected JSON, [[x, y], [x, y], ...] in pixels, several such '
                        f'lists, or a file of LabelMe.') from None
