"""What MMDetection 3.3 breaks for a detector that people put a light backbone under."""

from __future__ import annotations

__all__ = ['apply_fixes']


def apply_fixes() -> None:
    """Mend what is broken; where a later release has mended it, nothing is changed.

    ``SSDHead`` computes its loss by itself and has no ``loss_cls``, but the prediction that it inherits asks for one,
    so no SSD can predict.
    """
    from mmdet.models.dense_heads import SSDHead
    if not hasattr(SSDHead, 'loss_cls'):
        SSDHead.loss_cls = None
