"""A part of train2017 for a trial: fixed by its number of images and a seed."""

from __future__ import annotations

import random
from typing import Any

from ...utils.errors import UserError
from ..annotation_file import of_images

__all__ = ['check_subset', 'choose_subset', 'subset_name']


def subset_name(split: str, count: int, seed: int) -> str:
    """What the subset is called in file names."""
    return f'{split}_subset{count}_seed{seed}'


def check_subset(count: int, most: int) -> None:
    """Raise a :class:`UserError` unless so many images can be chosen from ``most``."""
    if not 0 < count <= most:
        raise UserError(f'subset={count}: expected 1 to {most}, so many images there are with boxes.')


def choose_subset(annotations: dict[str, Any], count: int, seed: int) -> dict[str, Any]:
    """The annotation file of ``count`` images that have boxes; the same arguments give the same images.

    Raises:
        UserError: If there are not so many.
    """
    with_boxes = sorted({annotation['image_id'] for annotation in annotations['annotations']})
    check_subset(count, len(with_boxes))
    return of_images(annotations, set(random.Random(seed).sample(with_boxes, count)))
