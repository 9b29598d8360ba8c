"""Detect in several views of an image (tiles and mirror images), and merge the results.

Needs only NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import numpy as np

from ..deploy.exported import Detections
from ..deploy.resizing import check_image
from ..utils.errors import UserError

__all__ = ['View', 'Views', 'merge']

# IoU above which two boxes are the same object, as in MMDetection's test-time augmentation.
_SAME = 0.5
# A box is cut if it ends this close to an inner border of its tile, as a fraction of the tile's side.
_NEAR = 0.02
# Limits of the tile size in pixels and of the overlap.
_SMALLEST, _LARGEST_OVERLAP = 32, 0.9


class View(NamedTuple):
    """A part of an image, optionally mirrored, as input of a detector."""

    #: x1, y1, x2, y2 of the part, in pixels of the image.
    area: tuple[int, int, int, int]
    mirrored: bool = False

    def pixels(self, image: np.ndarray) -> np.ndarray:
        """The pixels of the view of an image ``(H, W, 3)``."""
        x1, y1, x2, y2 = self.area
        part = image[y1:y2, x1:x2]
        return np.ascontiguousarray(part[:, ::-1] if self.mirrored else part)

    def in_image(self, boxes: np.ndarray) -> np.ndarray:
        """Convert boxes ``(N, 4)`` from pixels of the view to pixels of the image."""
        x1, y1, x2, _ = self.area
        if self.mirrored:
            boxes = np.stack([x2 - x1 - boxes[:, 2], boxes[:, 1], x2 - x1 - boxes[:, 0], boxes[:, 3]], axis=1)
        return boxes + np.array([x1, y1, x1, y1], np.float32)


@dataclass(frozen=True)
class Views:
    """The views of an image to detect in.

    Args:
        tiles: Side of square tiles in pixels; None for no tiles. The complete image is always a view, too, for objects
            larger than a tile.
        overlap: Minimum overlap of neighboring tiles, as a fraction of their side; 0.2 by default.
        tta: Test-time augmentation: also detect in the mirror image of each view.

    Raises:
        UserError: If a number is out of range, or ``overlap`` is given without ``tiles``.
    """

    tiles: int | None = None
    overlap: float | None = None
    tta: bool = False

    def __post_init__(self) -> None:
        if self.tiles is not None and self.tiles < _SMALLEST:
            raise UserError(f'tiles={self.tiles}: expected the side of a tile in pixels, {_SMALLEST} or more.')
        if self.overlap is not None and self.tiles is None:
            raise UserError(f'overlap={self.overlap} needs tiles. Add their side in pixels: tiles=640.')
        if self.overlap is not None and not 0 <= self.overlap <= _LARGEST_OVERLAP:
            raise UserError(f'overlap={self.overlap}: expected a fraction of a tile, 0 to {_LARGEST_OVERLAP}.')

    @property
    def many(self) -> bool:
        """Whether an image can have more than one view."""
        return self.tiles is not None or self.tta

    def of(self, height: int, width: int) -> list[View]:
        """The views of an image of this size. Views of the same size are consecutive."""
        areas = [(0, 0, width, height)]
        if self.tiles is not None and max(height, width) > self.tiles:
            areas += [(x1, y1, x2, y2) for y1, y2 in self._spans(height) for x1, x2 in self._spans(width)]
        return [View(area, mirrored) for area in areas for mirrored in ((False, True) if self.tta else (False,))]

    def _spans(self, length: int) -> list[tuple[int, int]]:
        """Start and end of evenly spaced tiles along a side of the image."""
        side = min(self.tiles or length, length)
        step = side * (1 - (0.2 if self.overlap is None else self.overlap))
        starts = np.linspace(0, length - side, math.ceil((length - side) / step) + 1).round().astype(int).tolist()
        return [(start, start + side) for start in starts]

    def detect(
        self, detect: Callable[[Sequence[np.ndarray]], list[Detections]], image: np.ndarray, batch_size: int
    ) -> Detections:
        """Run ``detect``, a function of a list of arrays, on all views of an image, and merge the results.

        Up to ``batch_size`` views of the same size form a batch.
        """
        check_image(image)
        if batch_size < 1:
            raise UserError(f'batch_size={batch_size}: expected 1 or more.')
        height, width = image.shape[:2]
        views = self.of(height, width)
        found = [one for batch in _batches(views, batch_size) for one in detect([view.pixels(image) for view in batch])]
        placed = [one._replace(boxes=view.in_image(one.boxes)) for one, view in zip(found, views)]
        return merge(placed, [view.area for view in views], (height, width))


def _batches(views: Sequence[View], batch_size: int) -> Iterator[list[View]]:
    for _, group in groupby(views, key=lambda view: (view.area[2] - view.area[0], view.area[3] - view.area[1])):
        same_size = list(group)
        yield from (same_size[start : start + batch_size] for start in range(0, len(same_size), batch_size))


def merge(found: Sequence[Detections], areas: Sequence[Sequence[float]], size: tuple[int, int]) -> Detections:
    """Merge the detections of several areas of an image with NMS per class that handles cut boxes.

    A box that ends at an inner border of its area is cut: it shows only a part of an object. It is removed if it
    matches an uncut box, and merged with matching cut boxes of other areas. Two boxes match if their IoU inside both
    areas is high. A merged box gets the highest score.

    Args:
        found: The detections of each area, with boxes in pixels of the image.
        areas: x1, y1, x2, y2 of each area.
        size: Height and width of the image.

    Returns:
        The detections in descending order of their scores.
    """
    boxes, scores, labels = (np.concatenate(parts) for parts in zip(*found))
    shown = np.repeat(np.asarray(areas, np.float32), [len(one.scores) for one in found], axis=0)
    cut = _is_cut(boxes, shown, size)
    kept: list[int] = []
    boxes, scores = boxes.copy(), scores.copy()
    for label in np.unique(labels):
        left = np.flatnonzero(labels == label)
        left = left[np.lexsort((-scores[left], cut[left]))]  # uncut boxes first
        while len(left):
            first = left[0]
            same = _similarity(first, left, boxes, shown, cut) > _SAME
            same[0] = True
            one = left[same]
            scores[first] = scores[one].max()
            if cut[first]:
                boxes[first] = *boxes[one, :2].min(axis=0), *boxes[one, 2:].max(axis=0)
            kept.append(first)
            left = left[~same]
    best = np.array(kept, int)[np.argsort(-scores[kept], kind='stable')]
    return Detections(boxes[best], scores[best], labels[best])


def _is_cut(boxes: np.ndarray, shown: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Whether each box ``(N, 4)`` ends at a border of its area ``(N, 4)`` that is not a border of the image."""
    inner = shown != np.array([0, 0, size[1], size[0]])
    sides = np.tile(shown[:, 2:] - shown[:, :2], 2)
    return (inner & (np.abs(boxes - shown) < _NEAR * sides)).any(axis=1)


def _similarity(first: int, others: np.ndarray, boxes: np.ndarray, shown: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """IoU of a box with others. If one of them is cut, only the part inside both areas is compared."""
    low = np.where((cut[first] | cut[others])[:, None], np.maximum(shown[first, :2], shown[others, :2]), -np.inf)
    high = np.where((cut[first] | cut[others])[:, None], np.minimum(shown[first, 2:], shown[others, 2:]), np.inf)
    low_a, high_a = np.maximum(boxes[first, :2], low), np.minimum(boxes[first, 2:], high)
    low_b, high_b = np.maximum(boxes[others, :2], low), np.minimum(boxes[others, 2:], high)
    area_a, area_b, common = (
        (high - low).clip(0).prod(axis=1)
        for low, high in ((low_a, high_a), (low_b, high_b), (np.maximum(low_a, low_b), np.minimum(high_a, high_b)))
    )
    return common / np.maximum(area_a + area_b - common, 1e-9)
