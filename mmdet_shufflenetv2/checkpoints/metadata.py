"""Metadata of a checkpoint about its training data."""

from __future__ import annotations

from typing import Any

__all__ = ['checkpoint_meta']


def checkpoint_meta(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Read the metadata of a checkpoint about its training data.

    Returns:
        ``classes``, with ``set`` for whether ``set_classes`` also set them in the heads, ``category_ids`` with the id
        of each class in the annotation file, and ``image_size``. Missing or malformed entries are left out.
    """
    meta = checkpoint.get('meta')
    stored = meta.get('dataset_meta') if isinstance(meta, dict) else None
    # MMDetection 3.0 wrote the keys in upper case.
    stored = {str(key).lower(): value for key, value in stored.items()} if isinstance(stored, dict) else {}
    classes, size = stored.get('classes'), stored.get('image_size')
    known: dict[str, Any] = {}
    if isinstance(classes, str):  # MMDetection accepts a single class as a string
        classes = (classes,)
    if isinstance(classes, (list, tuple)) and classes and all(isinstance(name, str) for name in classes):
        known |= {'classes': tuple(classes), 'set': stored.get('num_classes') == len(classes)}
        ids = stored.get('category_ids')
        if (
            isinstance(ids, (list, tuple))
            and all(isinstance(number, int) for number in ids)
            and (len(set(ids)) == len(ids) == len(classes))
        ):
            known['category_ids'] = tuple(ids)
    if isinstance(size, (list, tuple)) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size):
        known['image_size'] = tuple(size)
    return known
