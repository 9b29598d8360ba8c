"""Several images on one sheet, each with a line of text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from .boxes import font

__all__ = ['make_sheet']

_GAP, _TEXT = 8, 13


def make_sheet(images: Sequence[np.ndarray], captions: Sequence[str], columns: int = 4, side: int = 320) -> np.ndarray:
    """Put images side by side on a white sheet, ``(H, W, 3)`` uint8.

    Args:
        images: Arrays ``(H, W, 3)`` of uint8, of any sizes, at least one.
        captions: A line under each; what is too long is cut, with three dots.
        columns: Images in a row.
        side: Width and height in pixels of the square that each image is scaled to fit.
    """
    columns = min(columns, len(images))
    scaled = [_scaled(image, side) for image in images]
    rows = [range(first, min(first + columns, len(images))) for first in range(0, len(images), columns)]
    heights = [max(scaled[place].height for place in row) for row in rows]
    sheet = Image.new('RGB', (columns * (side + _GAP) + _GAP, sum(heights) + len(rows) * (2 * _TEXT + _GAP) + _GAP),
                      'white')
    draw = ImageDraw.Draw(sheet)
    top = _GAP
    for row, height in zip(rows, heights):
        for column, place in enumerate(row):
            left = _GAP + column * (side + _GAP)
            picture = scaled[place]
            sheet.paste(picture, (left + (side - picture.width) // 2, top + height - picture.height))
            draw.text((left, top + height + 3), _fitting(captions[place], draw, side), font=font(_TEXT),
                      fill=(40, 40, 40))
        top += height + 2 * _TEXT + _GAP
    return np.asarray(sheet)[..., ::-1]


def _scaled(image: np.ndarray, side: int) -> Image.Image:
    factor = side / max(image.shape[:2])
    size = [max(1, round(length * factor)) for length in (image.shape[1], image.shape[0])]
    return Image.fromarray(np.ascontiguousarray(image[..., ::-1])).resize(size, Image.Resampling.LANCZOS)


def _fitting(text: str, draw: ImageDraw.ImageDraw, width: int) -> str:
    if draw.textlength(text, font=font(_TEXT)) <= width:
        return text
    while text and draw.textlength(f'{text}…', font=font(_TEXT)) > width:
        text = text[:-1]
    return f'{text}…'
