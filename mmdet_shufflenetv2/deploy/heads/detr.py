"""Transformers with queries: Deformable DETR and DINO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.detectors import DeformableDETR
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from torch import Tensor, nn

from ...compat.patches import replaced
from ...utils.errors import UserError
from .selection import FOUND, Candidates, Suppression, best, clipped
from .stages import Stage, made_boxes, made_scores

__all__ = ['QueryDetector']

_topk = torch.topk


class QueryDetector(nn.Module):
    """A :class:`mmdet.models.DeformableDETR` or its subclass DINO: the best classes of all queries, without NMS."""

    model: Any

    def __init__(self, model: Any) -> None:
        super().__init__()
        if model.data_preprocessor.pad_size_divisor != 1:
            raise UserError(
                f'model.data_preprocessor.pad_size_divisor={model.data_preprocessor.pad_size_divisor}: '
                f'expected 1. An exported {type(model).__name__} does not mask padding.'
            )
        self.model = model

    @staticmethod
    def fits(model: Any) -> bool:
        """Whether this class supports a detector."""
        return isinstance(model, DeformableDETR)

    def queries(self, features: Sequence[Tensor], x: Tensor) -> dict[str, Tensor]:
        """Boxes ``(Q, 4)``, x1, y1, x2, y2 relative to the image (0 to 1), and scores ``(Q, C)``.

        A two-stage model such as DINO selects encoder cells as queries. Then the indices of these cells and the logits
        of all cells are returned too.
        """
        shape = tuple(x.shape[-2:])
        sample = DetDataSample(metainfo=dict(batch_input_shape=shape, img_shape=shape))
        parts: dict[str, Tensor] = {}

        def topk(scores: Tensor, *args: Any, **kwargs: Any) -> Any:
            chosen = _topk(scores, *args, **kwargs)
            parts.update(cell_logits=scores, cells=chosen[1])
            return chosen

        with replaced('torch.topk', torch, topk):
            inputs = self.model.forward_transformer(features, [sample])
        logits, boxes = (layers[-1][0] for layers in self.model.bbox_head(**inputs))
        sigmoid = self.model.bbox_head.loss_cls.use_sigmoid
        scores = logits.sigmoid() if sigmoid else logits.softmax(-1)[..., :-1]
        return parts | dict(boxes=bbox_cxcywh_to_xyxy(boxes), scores=scores)

    def best(self, boxes: Tensor, scores: Tensor, size: Tensor) -> Candidates:
        """The pairs of query and class with the highest scores; ``size`` is the image's width and height."""
        score, query, label = best(scores, self.model.bbox_head.test_cfg.get('max_per_img', scores.shape[0]))
        found = boxes.index_select(0, query) * size.repeat(2).to(boxes.dtype)
        return Candidates(clipped(found, size), score, label)

    def stages(self, features: Sequence[Tensor], x: Tensor, size: Tensor) -> list[Stage]:
        """The parts in which an exported file is compared with the detector."""
        parts = self.queries(features, x)
        boxes, scores = parts.pop('boxes'), parts.pop('scores')
        cells = {'cells': parts.pop('cells')} if parts else {}
        made = dict(boxes=made_boxes(len(boxes), torch.ones(2)), scores=made_scores(scores.shape))
        return [
            *([Stage('logits of cells', {}, parts)] if parts else []),
            Stage('scores and boxes', cells, dict(boxes=boxes, scores=scores)),
            Stage('detections', made, dict(zip(FOUND, self.best(**made, size=size)))),
        ]

    def suppressions(self) -> list[Suppression]:
        """None: there is no NMS."""
        return []

    def forward(self, features: Sequence[Tensor], x: Tensor, size: Tensor) -> tuple[Candidates, dict[str, Tensor]]:
        """The detections, and the intermediate results by name."""
        parts = self.queries(features, x)
        return self.best(parts['boxes'], parts['scores'], size), parts
