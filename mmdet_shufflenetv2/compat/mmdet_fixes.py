"""What MMDetection 3.3 and pycocotools break for a light detector, and for data that came from elsewhere."""

from __future__ import annotations

from typing import Any

__all__ = ['apply_fixes']


def apply_fixes() -> None:
    """Mend what is broken; where a later release has mended it, nothing is changed.

    ``SSDHead`` computes its loss by itself and has no ``loss_cls``, but the prediction that it inherits asks for one,
    so no SSD can predict.

    pycocotools' evaluation takes an annotation's id of 0 for "not found", so the first object of a file that counts
    from 0, as Roboflow's do, is missed however well it was found. MMDetection's ``COCO``, which every evaluation here
    reads its annotations through, gives that object another id.
    """
    from mmdet.datasets.api_wrappers import COCO
    from mmdet.models.dense_heads import SSDHead
    if not hasattr(SSDHead, 'loss_cls'):
        SSDHead.loss_cls = None
    if 'createIndex' not in vars(COCO):
        COCO.createIndex = _create_index


def _create_index(coco: Any) -> None:
    from pycocotools.coco import COCO
    annotations = coco.dataset.get('annotations', [])
    if any(annotation['id'] == 0 for annotation in annotations):
        unused = max(annotation['id'] for annotation in annotations) + 1
        coco.dataset = dict(coco.dataset, annotations=[
            dict(annotation, id=annotation['id'] or unused) for annotation in annotations])
    COCO.createIndex(coco)
