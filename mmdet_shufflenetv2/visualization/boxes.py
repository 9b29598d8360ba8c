"""Draw boxes with names on an image.

MMDetection's visualizer uses matplotlib, which takes longer than a light detector and is too slow for videos.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ['class_color', 'draw_boxes', 'font']


def draw_boxes(
    image: np.ndarray, boxes: np.ndarray, names: Sequence[str], colors: Sequence[tuple[int, int, int]]
) -> np.ndarray:
    """Draw boxes and their names.

    A name is above its box, or inside it at the upper border of the image. It moves down if it would cover another
    name.

    Args:
        image: ``(H, W, 3)`` uint8 in BGR order. It is not changed.
        boxes: ``(N, 4)``: x1, y1, x2, y2 in pixels. The first one is drawn on top.
        names: Text of each box; can be empty.
        colors: (red, green, blue) of each box, 0 to 255.

    Returns:
        The drawn image, ``(H, W, 3)`` uint8 in BGR order.
    """
    height, width = image.shape[:2]
    drawn = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
    draw = ImageDraw.Draw(drawn)
    line = max(2, round(max(height, width) / 320))
    letters = font(max(10, round(max(height, width) / 45)))
    for (x1, y1, x2, y2), color in list(zip(np.asarray(boxes).tolist(), colors))[::-1]:
        draw.rectangle((x1, y1, max(x2, x1), max(y2, y1)), outline=color, width=line)
    taken: list[tuple[float, float, float, float]] = []
    for (x1, y1, *_), name, color in zip(np.asarray(boxes).tolist(), names, colors):
        if not name:
            continue
        *_, right, bottom = draw.textbbox((0, 0), name, font=letters, anchor='la')
        label_width, label_height = right + 2 * line, bottom + 2 * line
        x = min(max(x1, 0), max(width - label_width, 0))
        y = _free_y(x, y1 - label_height, label_width, label_height, height, taken)
        taken.append((x, y, x + label_width, y + label_height))
        draw.rectangle(taken[-1], fill=color)
        draw.text((x + line, y + line), name, font=letters, fill=_readable_on(color), anchor='la')
    return np.asarray(drawn)[..., ::-1]


def class_color(label: int) -> tuple[int, int, int]:
    """The color (red, green, blue) of a class. Consecutive classes differ, and all colors are clearly visible."""
    # The golden ratio spreads any number of hues evenly. Brightness also varies, because many hues look alike.
    hue, light = label * 0.618034 % 1, (0.45, 0.6, 0.35)[label % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, light, 0.85)
    return round(255 * red), round(255 * green), round(255 * blue)


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans of matplotlib, which supports Greek, Cyrillic and more, for class names in other languages."""
    import matplotlib  # importing it takes a second

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / 'fonts' / 'ttf' / 'DejaVuSans.ttf', size)


def _free_y(
    x: float,
    y: float,
    width: float,
    height: float,
    image_height: int,
    taken: Sequence[tuple[float, float, float, float]],
) -> float:
    """The first free y at or below the wanted one, or the wanted one if none is free."""
    wanted = free = min(max(y, 0), max(image_height - height, 0))
    for _ in taken:
        hit = next((t for t in taken if x < t[2] and t[0] < x + width and free < t[3] and t[1] < free + height), None)
        if hit is None:
            return free
        free = hit[3]
        if free + height > image_height:
            return wanted
    return free


def _readable_on(color: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = color
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else (255, 255, 255)
