"""CenterNet: boxes at local maxima of a heatmap, without NMS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.dense_heads import CenterNetHead
from mmdet.models.utils import get_local_maximum
from torch import Tensor, nn

from .selection import FOUND, Candidates, Suppression, best
from .stages import Stage, made_boxes, made_scores

__all__ = ['Heatmap']


class Heatmap(nn.Module):
    """A :class:`mmdet.models.CenterNetHead`."""

    head: Any
    cfg: Any

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.head, self.cfg = model.bbox_head, model.test_cfg

    @staticmethod
    def fits(model: Any) -> bool:
        """Whether this class supports a detector."""
        return isinstance(getattr(model, 'bbox_head', None), CenterNetHead)

    def cells(self, features: Sequence[Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes ``(H * W, 4)`` and scores ``(C, H, W)`` of all cells."""
        heatmap, sides, offsets = (maps[0] for maps in self.head(features))
        height, width = heatmap.shape[-2:]
        cells = torch.stack(
            (
                torch.arange(width, device=x.device).expand(height, width),
                torch.arange(height, device=x.device)[:, None].expand(height, width),
            )
        )
        center, half = cells + offsets[0], sides[0] / 2
        boxes = torch.cat((center - half, center + half)).flatten(1).T
        return boxes * (x.shape[-1] / width), heatmap[0]

    def stages(self, features: Sequence[Tensor], x: Tensor, size: Tensor) -> list[Stage]:
        """The parts in which an exported file is compared with the detector."""
        boxes, scores = self.cells(features, x)
        made = dict(boxes=made_boxes(len(boxes), size), scores=made_scores(scores.shape))
        return [
            Stage('scores and boxes', {}, dict(boxes=boxes, scores=scores)),
            Stage('detections', made, dict(zip(FOUND, self.best(**made)))),
        ]

    def suppressions(self) -> list[Suppression]:
        """None: there is no NMS."""
        return []

    def best(self, boxes: Tensor, scores: Tensor) -> Candidates:
        """The local maxima with the highest scores."""
        maxima = get_local_maximum(scores[None], self.cfg.local_maximum_kernel)[0].flatten(1).T
        score, cell, label = best(maxima, self.cfg.topk)
        return Candidates(boxes.index_select(0, cell), score, label)

    def forward(self, features: Sequence[Tensor], x: Tensor, size: Tensor) -> tuple[Candidates, dict[str, Tensor]]:
        """The detections, and the intermediate results by name."""
        boxes, scores = self.cells(features, x)
        return self.best(boxes, scores), dict(boxes=boxes, scores=scores)
