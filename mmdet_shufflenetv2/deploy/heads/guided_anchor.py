"""Guided anchoring: a head that predicts the locations and shapes of its anchors (GA-RetinaNet)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import GuidedAnchorHead
from torch import Tensor

from .dense import DenseHead
from .operators import unmasked
from .selection import Candidates, Priors, above, best_of_levels, clipped
from .stages import Stage

__all__ = ['GuidedAnchors']


class GuidedAnchors(DenseHead):
    """A :class:`mmdet.models.GuidedAnchorHead`.

    The graph computes boxes at all locations and filters them by location score afterwards, so that shapes are fixed.
    """

    @staticmethod
    def fits(model: Any) -> bool:
        """Whether this class supports a detector."""
        return isinstance(getattr(model, 'bbox_head', None), GuidedAnchorHead)

    def priors(self, features: Sequence[Tensor]) -> Priors:
        """The predictions of all anchors; ``factors`` are the scores of their locations."""
        head = self.head
        cls_scores, bbox_preds, shapes, locations = head(features)
        squares = head.square_anchor_generator.grid_priors(
            [one.shape[-2:] for one in cls_scores], device=cls_scores[0].device
        )
        sides = [one[0].permute(1, 2, 0).reshape(-1, 2) for one in shapes]
        anchors = [
            head.anchor_coder.decode(square, F.pad(side, (2, 0)), wh_ratio_clip=1e-6)
            for square, side in zip(squares, sides)
        ]
        logits, deltas, of_location = (
            [one[0].permute(1, 2, 0).reshape(-1, width) for one in many]
            for many, width in ((cls_scores, head.cls_out_channels), (bbox_preds, 4), (locations, 1))
        )
        joined = torch.cat(logits)
        scores = joined.sigmoid() if head.use_sigmoid_cls else joined.softmax(-1)[:, : head.num_classes]
        boxes = head.bbox_coder.decode(torch.cat(anchors), torch.cat(deltas))
        return Priors(
            boxes,
            scores,
            torch.cat(of_location).sigmoid().expand(-1, head.num_base_priors).flatten(),
            [one.shape[0] for one in deltas],
        )

    def stages(self, features: Sequence[Tensor], x: Tensor, size: Tensor) -> list[Stage]:
        """The parts in which an exported file is compared with the detector."""
        with unmasked():
            return super().stages(features, x, size)

    def check_selection(self, features: Sequence[Tensor], size: Tensor) -> None:
        """Nothing to check: :meth:`candidates` is written for this class."""

    def candidates(self, priors: Priors, size: Tensor) -> Candidates:
        """Input of NMS: all classes of the anchors with the best top scores of their level."""
        factors: Any = priors.factors  # never None: the scores of the locations
        shown = factors >= self.head.loc_filter_thr
        scores = torch.where(shown[:, None], priors.scores, torch.full_like(priors.scores, -1.0))
        found = best_of_levels(
            Priors(
                torch.arange(scores.shape[0], device=scores.device), scores.amax(1, keepdim=True), None, priors.counts
            ),
            self.cfg.get('nms_pre', -1),
            None,
        )
        score, index = above(scores.index_select(0, found.boxes).flatten(), self.cfg.score_thr)
        classes = scores.shape[1]
        boxes = priors.boxes.index_select(0, found.boxes.index_select(0, index // classes))
        return Candidates(clipped(boxes, size), score, index % classes)
