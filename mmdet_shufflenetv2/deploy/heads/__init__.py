"""Heads as modules of tensor operations that can be traced: one file a family, chosen by the head's class."""

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

#: Each has ``fits(model)``, and is made of a model that does.
HEADS = (DenseHead, GuidedAnchors, Heatmap, TwoStage, LearnedProposals, QueryDetector)

_SUPPORTED = (
    'one-stage heads that inherit from BaseDenseHead (RetinaNet, FCOS, ATSS, GFL, VFNet, TOOD, RepPoints, '
    'YOLOX, RTMDet, SSD, NanoDet, GA-RetinaNet, CenterNet), RPN with the standard, cascade or grid RoI head, '
    'masks of the standard one, Sparse R-CNN, Deformable DETR and DINO'
)


def traceable_head(model: Any) -> Any:
    """What is behind a detector's neck, from features to boxes.

    Raises:
        UserError: If the detector has a head that is not supported, or filters its boxes as a graph cannot.
    """
    for head in HEADS:
        if head.fits(model):
            return head(model)
    names = [
        type(getattr(model, name)).__name__ for name in ('rpn_head', 'roi_head', 'bbox_head') if hasattr(model, name)
    ]
    raise UserError(
        f'{type(model).__name__} with {" and ".join(names) or "no head"} cannot be exported to a graph '
        f'with boxes. Supported are {_SUPPORTED}. Any backbone can be exported: backbone_only=True.'
    )
