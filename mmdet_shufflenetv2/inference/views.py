"""One image detected in as several views: tiles of a large image, and mirror images; merged to one result.

Needs NumPy alone.
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

# Boxes of one object overlap by more; MMDetection's test-time augmentation has the same threshold.
_SAME = 0.5
# A box that ends so near to an inner border of its tile, in sides of the tile, may go on behind it.
_NEAR = 0.02
# Smaller tiles are a mistake, and so is an overlap that moves them by less than a tenth.
_SMALLEST, _LARGEST_OVERLAP = 32, 0.9


class View(NamedTuple):
    """A part of an image as a detector gets it."""

    #: x1, y1, x2, y2 of the part, in pixels of the image.
    area: tuple[int, int, int, int]
    mirrored: bool = False

    def pixels(self, image: np.ndarray) -> np.ndarray:
        """What it shows of an image ``(H, W, 3)``."""
        x1, y1, x2, y2 = self.area
        part = image[y1:y2, x1:x2]
        return np.ascontiguousarray(part[:, ::-1] if self.mirrored else part)

    def in_image(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes ``(N, 4)`` found in the view, in pixels of the image."""
        x1, y1, x2, _ = self.area
        if self.mirrored:
            boxes = np.stack([x2 - x1 - boxes[:, 2], boxes[:, 1], x2 - x1 - boxes[:, 0], boxes[:, 3]], axis=1)
        return boxes + np.array([x1, y1, x1, y1], np.float32)


@dataclass(frozen=True)
class Views:
    """In which views an image is detected in.

    Args:
        tiles: Side of square tiles in pixels; the whole image is one more view, for objects larger than a tile. None
            takes the image alone.
        overlap: Least overlap of neighboring tiles, as a fraction of their side; 0.2 by default.
        tta: Test-time augmentation: each view and its mirror image.

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
            raise UserError(f'overlap={self.overlap} is that of tiles. Add their side in pixels: tiles=640.')
        if self.overlap is not None and not 0 <= self.overlap <= _LARGEST_OVERLAP:
            raise UserError(f'overlap={self.overlap}: expected a fraction of a tile, 0 to {_LARGEST_OVERLAP}.')

    @property
    def many(self) -> bool:
        """Whether an image may have more than one view."""
        return self.tiles is not None or self.tta

    def of(self, height: int, width: int) -> list[View]:
        """The views of an image of this size, those of one size in a row."""
        areas = [(0, 0, width, height)]
        if self.tiles is not None and max(height, width) > self.tiles:
            areas += [(x1, y1, x2, y2) for y1, y2 in self._spans(height) for x1, x2 in self._spans(width)]
        return [View(area, mirrored) for area in areas for mirrored in ((False, True) if self.tta else (False, ))]

    def _spans(self, length: int) -> list[tuple[int, int]]:
        """Start and end of tiles along a side of the image, evenly spread."""
        side = min(self.tiles, length)
        step = side * (1 - (0.2 if self.overlap is None else self.overlap))
        starts = np.linspace(0, length - side, math.ceil((length - side) / step) + 1).round().astype(int).tolist()
        return [(start, start + side) for start in starts]

    def detect(self, detect: Callable[[Sequence[np.ndarray]], list[Detections]], image: np.ndarray,
               batch_size: int) -> Detections:
        """What ``detect``, which takes a list of arrays, finds in all views of an image, merged.

        ``batch_size`` views of one size are computed at once.
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
    for _, alike in groupby(views, key=lambda view: (view.area[2] - view.area[0], view.area[3] - view.area[1])):
        alike = list(alike)
        yield from (alike[start:start + batch_size] for start in range(0, len(alike), batch_size))


def merge(found: Sequence[Detections], areas: Sequence[Sequence[float]], size: tuple[int, int]) -> Detections:
    """One result of what was found in several areas of an image: NMS in each class, aware of the areas' borders.

    A box that ends at an inner border is a part of an object. It is dropped where a box that no border cuts looks
    alike within what both areas show, and joined with the parts of other areas that do. What is kept has the highest
    score of those that it stands for.

    Args:
        found: Of each area, with boxes in pixels of the image.
        areas: x1, y1, x2, y2 of each.
        size: Height and width of the image.

    Returns:
        The detections, best first.
    """
    boxes, scores, labels = (np.concatenate(parts) for parts in zip(*found))
    shown = np.repeat(np.asarray(areas, np.float32), [len(one.scores) for one in found], axis=0)
    cut = _is_cut(boxes, shown, size)
    kept: list[int] = []
    boxes, scores = boxes.copy(), scores.copy()
    for label in np.unique(labels):
        left = np.flatnonzero(labels == label)
        left = left[np.lexsort((-scores[left], cut[left]))]  # parts behind what is not cut
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
    """Whether each box ``(N, 4)`` ends at a border of its area ``(N, 4)`` that is not one of the image."""
    inner = shown != np.array([0, 0, size[1], size[0]])
    sides = np.tile(shown[:, 2:] - shown[:, :2], 2)
    return (inner & (np.abs(boxes - shown) < _NEAR * sides)).any(axis=1)


def _similarity(first: int, others: np.ndarray, boxes: np.ndarray, shown: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """IoU of a box with others; where one is cut, of what is inside of both areas."""
    low = np.where((cut[first] | cut[others])[:, None], np.maximum(shown[first, :2], shown[others, :2]), -np.inf)
    high = np.where((cut[first] | cut[others])[:, None], np.minimum(shown[first, 2:], shown[others, 2:]), np.inf)
    low_a, high_a = np.maximum(boxes[first, :2], low), np.minimum(boxes[first, 2:], high)
    low_b, high_b = np.maximum(boxes[others, :2], low), np.minimum(boxes[others, 2:], high)
    area_a, area_b, common = ((high - low).clip(0).prod(axis=1) for low, high in (
        (low_a, high_a), (low_b, high_b), (np.maximum(low_a, low_b), np.minimum(high_a, high_b))))
    return common / np.maximum(area_a + area_b - common, 1e-9)
