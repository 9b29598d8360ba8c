"""What the report shows: curves and bars as SVG, which is sharp at any size, and pieces of images as JPEG."""

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

#: Colours of what was found and of what is true; told apart by everybody.
FOUND, TRUE = (213, 94, 0), (0, 114, 178)

_SIDE = 260


def curve_svg(precision: np.ndarray) -> str:
    """Precision (up) at recall 0, 0.01, ..., 1 (right)."""
    points = ' '.join(f'{place},{100 - 100 * value:.1f}' for place, value in enumerate(precision))
    grid = ''.join(f'<path d="M0 {at}H100M{at} 0V100" class="grid"/>' for at in (0, 25, 50, 75, 100))
    return (f'<svg viewBox="-4 -4 108 108" role="img">{grid}<polygon points="0,100 {points} 100,100" class="area"/>'
            f'<polyline points="{points}" class="line"/></svg>')


def size_svg(sizes: Sequence[SizeScore]) -> str:
    """AP (filled) and average recall (outlined) of each size as bars."""
    rows = []
    for place, size in enumerate(sizes):
        top = 52 * place
        rows.append(f'<text x="0" y="{top + 20}">{escape(size.name)}</text>'
                    f'<text x="0" y="{top + 38}" class="small">{size.objects} objects</text>')
        if np.isnan(size.ap):
            rows.append(f'<text x="100" y="{top + 28}" class="small">nothing to find</text>')
            continue
        for line, (name, value) in enumerate((('AP', size.ap), ('recall', size.recall))):
            y = top + 6 + 20 * line
            rows.append(f'<rect x="100" y="{y}" width="{170 * value:.1f}" height="15" class="bar{line}"/>'
                        f'<text x="{106 + 170 * value:.1f}" y="{y + 12}" class="small">{name} {value:.3f}</text>')
    return f'<svg viewBox="0 0 350 {52 * len(sizes)}" class="bars" role="img">{"".join(rows)}</svg>'


def image_piece(image: np.ndarray, about: Sequence[float],
                boxes: Sequence[tuple[Any, str, tuple[int, int, int]]]) -> str:
    """The surroundings of a box, drawn, as the address of an inlined JPEG.

    Args:
        image: ``(H, W, 3)`` uint8; blue, green, red.
        about: The box that is looked at: x, y, width and height in pixels.
        boxes: What to draw: box (x, y, width, height), name and colour.
    """
    x, y, width, height = about
    reach = max(0.9 * max(width, height), 48)
    middle = np.array([x + width / 2, y + height / 2])
    limits = np.array([image.shape[1], image.shape[0]])
    # At least a pixel, wherever the box is said to be.
    low = np.clip(np.floor(middle - reach), 0, limits - 1).astype(int)
    high = np.clip(np.ceil(middle + reach), low + 1, limits).astype(int)
    piece = image[low[1]:high[1], low[0]:high[0]]
    factor = _SIDE / max(piece.shape[:2])
    piece = cv2.resize(piece, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA if factor < 1 else
                       cv2.INTER_CUBIC)
    placed = np.array([[left, top, left + wide, top + tall] for (left, top, wide, tall), _, _ in boxes], float)
    # A side far outside is not seen, and may be too far for what draws it.
    placed = np.clip(placed.reshape(-1, 4) - np.tile(low, 2), -_SIDE / factor, 2 * _SIDE / factor) * factor
    drawn = draw_boxes(piece, placed, [name for _, name, _ in boxes], [color for _, _, color in boxes])
    jpeg = cv2.imencode('.jpg', np.ascontiguousarray(drawn), [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
    return f'data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}'
