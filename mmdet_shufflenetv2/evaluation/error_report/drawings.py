"""Drawings of the report: curves and bars as SVG, and parts of images as JPEG."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

import cv2
import numpy as np

from ...visualization import draw_boxes
from .scores import SizeScore

__all__ = ['FOUND', 'TRUE', 'curve_svg', 'image_piece', 'size_svg']

#: Colors of detections and of ground truth, which color-blind readers can distinguish.
FOUND, TRUE = (213, 94, 0), (0, 114, 178)

_SIDE = 260


def curve_svg(precision: np.ndarray) -> str:
    """Precision (y axis) at recall 0, 0.01, ..., 1 (x axis)."""
    points = ' '.join(f'{recall},{100 - 100 * value:.1f}' for recall, value in enumerate(precision))
    grid = ''.join(f'<path d="M0 {line}H100M{line} 0V100" class="grid"/>' for line in (0, 25, 50, 75, 100))
    return (
        f'<svg viewBox="-4 -4 108 108" role="img">{grid}<polygon points="0,100 {points} 100,100" class="area"/>'
        f'<polyline points="{points}" class="line"/></svg>'
    )


def size_svg(sizes: Sequence[SizeScore]) -> str:
    """Bars with AP (filled) and average recall (outlined) of each size."""
    rows = []
    for index, size in enumerate(sizes):
        top = 52 * index
        rows.append(
            f'<text x="0" y="{top + 20}">{escape(size.name)}</text>'
            f'<text x="0" y="{top + 38}" class="small">{size.objects} objects</text>'
        )
        if np.isnan(size.ap):
            rows.append(f'<text x="100" y="{top + 28}" class="small">no objects</text>')
            continue
        for line, (name, value) in enumerate((('AP', size.ap), ('recall', size.recall))):
            y = top + 6 + 20 * line
            rows.append(
                f'<rect x="100" y="{y}" width="{170 * value:.1f}" height="15" class="bar{line}"/>'
                f'<text x="{106 + 170 * value:.1f}" y="{y + 12}" class="small">{name} {value:.3f}</text>'
            )
    return f'<svg viewBox="0 0 350 {52 * len(sizes)}" class="bars" role="img">{"".join(rows)}</svg>'


def image_piece(
    image: np.ndarray, about: Sequence[float], boxes: Sequence[tuple[Any, str, tuple[int, int, int]]]
) -> str:
    """Draw the surroundings of a box, as the data URL of a JPEG.

    Args:
        image: ``(H, W, 3)`` uint8 in BGR order.
        about: The box to show: x, y, width and height in pixels.
        boxes: The boxes to draw: box (x, y, width, height), name and color.
    """
    x, y, width, height = about
    reach = max(0.9 * max(width, height), 48)
    middle = np.array([x + width / 2, y + height / 2])
    limits = np.array([image.shape[1], image.shape[0]])
    # At least one pixel, even if the box is outside the image.
    low = np.clip(np.floor(middle - reach), 0, limits - 1).astype(int)
    high = np.clip(np.ceil(middle + reach), low + 1, limits).astype(int)
    piece = image[low[1] : high[1], low[0] : high[0]]
    factor = _SIDE / max(piece.shape[:2])
    piece = cv2.resize(
        piece, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    )
    placed = np.array([[left, top, left + wide, top + tall] for (left, top, wide, tall), _, _ in boxes], float)
    # Coordinates far outside are not visible and can exceed the range of the drawing functions.
    placed = np.clip(placed.reshape(-1, 4) - np.tile(low, 2), -_SIDE / factor, 2 * _SIDE / factor) * factor
    drawn = draw_boxes(piece, placed, [name for _, name, _ in boxes], [color for _, _, color in boxes])
    jpeg = cv2.imencode('.jpg', np.ascontiguousarray(drawn), [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
    return f'data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}'
