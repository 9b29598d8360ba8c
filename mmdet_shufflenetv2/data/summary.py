"""Summarize a data set as text for the terminal."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .annotation_file import image_sizes
from .audit import left_out
from .layouts.description import Split, UserDataset

__all__ = ['summary']

# Maximum number of classes to list.
_SHOWN = 30


def summary(data: UserDataset) -> str:
    """Number and sizes of images, number of used boxes per class, and notes."""
    lines = [f'{data.format} format in {data.root}, {len(data.classes)} classes']
    for name, split in data.splits.items():
        images, annotations = split.annotations['images'], split.annotations['annotations']
        kept = _used(split, name)
        empty = len({image['id'] for image in images} - {annotation['image_id'] for annotation in kept})
        rest = f' of {len(annotations)}' if len(kept) < len(annotations) else ''
        lines.append(
            f'  {name:<6}{len(images):>7} images  {len(kept):>7}{rest} boxes  {empty:>5} without boxes  '
            f'{_sizes(images)}'
        )
    boxes = {name: _boxes(split, name) for name, split in data.splits.items()}
    width = min(max(map(len, ('boxes', *data.classes))), 40)
    lines.append(f'  {"boxes":<{width}}' + ''.join(f'{name:>8}' for name in boxes))
    lines += [
        f'  {name:<{width}.{width}}' + ''.join(f'{counts[name]:>8}' for counts in boxes.values())
        for name in data.classes[:_SHOWN]
    ]
    if len(data.classes) > _SHOWN:
        lines.append(f'  ... and {len(data.classes) - _SHOWN} more')
    return '\n'.join([*lines, *(f'  note: {note}' for note in data.notes)])


def _used(split: Split, name: str) -> list[dict[str, Any]]:
    """The annotations used for training, or for evaluation in any other split than ``train``."""
    sizes = image_sizes(split.annotations)
    return [
        annotation
        for annotation in split.annotations['annotations']
        if (reason := left_out(annotation, sizes[annotation['image_id']])) is None
        or (name != 'train' and reason not in ('crowd', 'ignored'))
    ]


def _boxes(split: Split, name: str) -> Counter[str]:
    names = {category['id']: category['name'] for category in split.annotations['categories']}
    return Counter(names[annotation['category_id']] for annotation in _used(split, name))


def _sizes(images: list[dict[str, Any]]) -> str:
    sizes = sorted({(image['width'], image['height']) for image in images}, key=lambda size: size[0] * size[1])
    smallest, largest = (f'{width:g}x{height:g}' for width, height in (sizes[0], sizes[-1]))
    return smallest if len(sizes) == 1 else f'{smallest} to {largest} pixels'
