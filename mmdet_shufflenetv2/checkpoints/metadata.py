"""What a checkpoint says about the data that it was trained on."""

from __future__ import annotations

from typing import Any

__all__ = ['checkpoint_meta']


def checkpoint_meta(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint says about its data.

    Returns:
        ``classes``, with ``set`` that tells whether ``set_classes`` set them in the heads too, ``category_ids``,
        the number of each in the training's annotation file, and ``image_size``; what is missing or malformed is left
        out.
    """
    meta = checkpoint.get('meta')
    stored = meta.get('dataset_meta') if isinstance(meta, dict) else None
    # MMDetection 3.0 wrote the names in capitals.
    stored = {str(key).lower(): value for key, value in stored.items()} if isinstance(stored, dict) else {}
    classes, size = stored.get('classes'), stored.get('image_size')
    known: dict[str, Any] = {}
    if isinstance(classes, str):  # MMDetection takes a single class without brackets
        classes = (classes, )
    if isinstance(classes, (list, tuple)) and classes and all(isinstance(name, str) for name in classes):
        known |= {'classes': tuple(classes), 'set': stored.get('num_classes') == len(classes)}
        ids = stored.get('category_ids')
        if isinstance(ids, (list, tuple)) and all(isinstance(number, int) for number in ids) and (
                len(set(ids)) == len(ids) == len(classes)):
            known['category_ids'] = tuple(ids)
    if isinstance(size, (list, tuple)) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size):
        known['image_size'] = tuple(size)
    return known
