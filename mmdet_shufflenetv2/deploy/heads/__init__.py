"""Traceable versions of MMDetection's heads: one file per family, selected by the head's class."""

from __future__ import annotations

from typing import Any

from ...utils.errors import UserError
from .centernet import Heatmap
from .dense import DenseHead
from .detr import QueryDetector
from .guided_anchor import GuidedAnchors
from .sparse_rcnn import LearnedProposals
from .two_stage import TwoStage

__all__ = ['HEADS', 'traceable_head']

#: ``fits(model)`` of each says whether it supports a detector; its constructor takes that detector.
HEADS = (DenseHead, GuidedAnchors, Heatmap, TwoStage, LearnedProposals, QueryDetector)

_SUPPORTED = (
    'one-stage heads that inherit from BaseDenseHead (RetinaNet, FCOS, ATSS, GFL, VFNet, TOOD, RepPoints, '
    'YOLOX, RTMDet, SSD, NanoDet, GA-RetinaNet, CenterNet), RPN with the standard, cascade or grid RoI head, '
    'masks of the standard one, Sparse R-CNN, Deformable DETR and DINO'
)


def traceable_head(model: Any) -> Any:
    """The traceable head of a detector: from the neck's features to boxes.

    Raises:
        UserError: If the detector's head, or the way it selects boxes, is not supported.
    """
    for head in HEADS:
        if head.fits(model):
            return head(model)
    names = [
        type(getattr(model, name)).__name__ for name in ('rpn_head', 'roi_head', 'bbox_head') if hasattr(model, name)
    ]
    raise UserError(
        f'{type(model).__name__} with {" and ".join(names) or "no head"} cannot be exported with boxes. '
        f'Supported: {_SUPPORTED}. Any backbone can be exported: backbone_only=True.'
    )
