"""COCO's format: ``annotations/instances_SPLIT.json`` and the images in ``SPLIT/``. Nothing is lost."""

from __future__ import annotations

from ...utils.files import write_json
from .target import Target

__all__ = ['write_coco']


def write_coco(target: Target) -> None:
    """Write a data set in COCO's format. Ids, masks and all other entries stay unchanged."""
    for name, split in target.data.splits.items():
        classes = {category['id']: category['name'] for category in split.annotations['categories']}
        images = []
        for image, file, found in target.copy_images(name, name, key=str):
            images.append(dict(image, file_name=file))
            for one in found:
                target.record(name, f'{name}/{file}', classes[one['category_id']], one['bbox'])
        write_json(
            target.root / 'annotations' / f'instances_{name}.json', dict(split.annotations, images=images), indent=None
        )
