"""Sparse R-CNN: learned proposals, refined in stages, without NMS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.dense_heads import EmbeddingRPNHead
from mmdet.models.detectors import TwoStageDetector
from mmdet.models.roi_heads import SparseRoIHead
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from torch import Tensor, nn

from .selection import FOUND, Candidates, Suppression, best, clipped
from .stages import Stage, made_boxes, made_scores
from .two_stage import check_extractor

__all__ = ['LearnedProposals']


class LearnedProposals(nn.Module):
    """An :class:`mmdet.models.EmbeddingRPNHead` and a :class:`mmdet.models.SparseRoIHead`, without NMS."""

    rpn: Any
    roi_head: Any

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.rpn, self.roi_head = model.rpn_head, model.roi_head
        for extractor in self.roi_head.bbox_roi_extractor:
            check_extractor(extractor)

    @staticmethod
    def fits(model: Any) -> bool:
        """Whether this class supports a detector."""
        return (
            isinstance(model, TwoStageDetector)
            and isinstance(model.rpn_head, EmbeddingRPNHead)
            and type(model.roi_head) is SparseRoIHead
            and not model.roi_head.with_mask
        )

    def objects(self, features: Sequence[Tensor], size: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes ``(Q, 4)`` and scores ``(Q, C)`` of all proposals after the last stage."""
        boxes = bbox_cxcywh_to_xyxy(self.rpn.init_proposal_bboxes.weight) * size.repeat(2).to(features[0].dtype)
        objects = self.rpn.init_proposal_features.weight[None]
        for extractor, head in zip(self.roi_head.bbox_roi_extractor, self.roi_head.bbox_head):
            rois = torch.cat((torch.zeros_like(boxes[:, :1]), boxes), dim=1)
            logits, deltas, objects, _ = head(extractor(features[: extractor.num_inputs], rois), objects)
            boxes = head.bbox_coder.decode(boxes, deltas[0])
            if head.bbox_coder.clip_border:
                boxes = clipped(boxes, size)
        return boxes, logits[0].sigmoid() if head.loss_cls.use_sigmoid else logits[0].softmax(-1)[:, :-1]

    def best(self, boxes: Tensor, scores: Tensor) -> Candidates:
        """The pairs of proposal and class with the highest scores."""
        score, query, label = best(scores, self.roi_head.test_cfg.max_per_img)
        return Candidates(boxes.index_select(0, query), score, label)

    def stages(self, features: Sequence[Tensor], x: Tensor, size: Tensor) -> list[Stage]:
        """The parts in which an exported file is compared with the detector."""
        boxes, scores = self.objects(features, size)
        made = dict(boxes=made_boxes(len(boxes), size), scores=made_scores(scores.shape))
        return [
            Stage('scores and boxes', {}, dict(boxes=boxes, scores=scores)),
            Stage('detections', made, dict(zip(FOUND, self.best(**made)))),
        ]

    def suppressions(self) -> list[Suppression]:
        """None: there is no NMS."""
        return []

    def forward(self, features: Sequence[Tensor], x: Tensor, size: Tensor) -> tuple[Candidates, dict[str, Tensor]]:
        """The detections, and the intermediate results by name."""
        boxes, scores = self.objects(features, size)
        return self.best(boxes, scores), dict(boxes=boxes, scores=scores)
