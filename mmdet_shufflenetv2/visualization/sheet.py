"""Arrange images with captions on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from .boxes import font

__all__ = ['make_sheet']

_GAP, _TEXT = 8, 13


def make_sheet(images: Sequence[np.ndarray], captions: Sequence[str], columns: int = 4, side: int = 320) -> np.ndarray:
    """Arrange images on a white sheet, ``(H, W, 3)`` uint8.

    Args:
        images: At least one array ``(H, W, 3)`` of uint8. Sizes can differ.
        captions: One line below each image. Long lines are truncated with three dots.
        columns: Number of images per row.
        side: Each image is scaled to fit into a square with this side, in pixels.
    """
    columns = min(columns, len(images))
    scaled = [_scaled(each, side) for each in images]
    rows = [range(first, min(first + columns, len(images))) for first in range(0, len(images), columns)]
    heights = [max(scaled[index].height for index in row) for row in rows]
    sheet = Image.new(
        'RGB', (columns * (side + _GAP) + _GAP, sum(heights) + len(rows) * (2 * _TEXT + _GAP) + _GAP), 'white'
    )
    draw = ImageDraw.Draw(sheet)
    top = _GAP
    for row, height in zip(rows, heights):
        for column, index in enumerate(row):
            left = _GAP + column * (side + _GAP)
            image = scaled[index]
            sheet.paste(image, (left + (side - image.width) // 2, top + height - image.height))
            draw.text(
                (left, top + height + 3), _fitting(captions[index], draw, side), font=font(_TEXT), fill=(40, 40, 40)
            )
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
