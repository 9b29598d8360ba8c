"""Two-stage detectors: Faster, Cascade, Grid and Mask R-CNN, Light-Head R-CNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.ops import RoIAlign
from mmdet.models.dense_heads import GuidedAnchorHead, RPNHead
from mmdet.models.detectors import TwoStageDetector
from mmdet.models.roi_heads import CascadeRoIHead, GridRoIHead, StandardRoIHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torchvision.ops import PSRoIAlign

from ...compat.private import grid_boxes, mask_outputs, roi_outputs, stage_outputs
from ...utils.errors import UserError
from .dense import CANDIDATES, NO_LIMIT, every_prior
from .selection import (
    FOUND,
    Candidates,
    Priors,
    Suppression,
    above,
    best_of_levels,
    check_most,
    check_nms,
    clipped,
    large_boxes,
    suppressed,
)
from .stages import Stage, made_boxes, made_priors, made_scores

__all__ = ['ANCHORS', 'TwoStage']

#: Inputs of the NMS of the proposals: boxes, scores and levels.
ANCHORS = ('anchor_boxes', 'anchor_scores', 'anchor_levels')


class TwoStage(nn.Module):
    """An RPN, and a RoI head with one or more stages."""

    rpn: Any
    roi_head: Any
    head: Any
    rpn_cfg: Any
    cfg: Any

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.rpn, self.roi_head = model.rpn_head, model.roi_head
        heads, extractors = self.roi_head.bbox_head, self.roi_head.bbox_roi_extractor
        self.head = heads[-1] if isinstance(heads, nn.ModuleList) else heads
        self.rpn_cfg, self.cfg = model.test_cfg.rpn, model.test_cfg.rcnn
        check_nms(self.rpn_cfg.get('nms'), 'model.test_cfg.rpn.nms')
        check_nms(self.cfg.get('nms'), 'model.test_cfg.rcnn.nms')
        check_most(self.rpn_cfg, 'max_per_img', 'model.test_cfg.rpn')
        for extractor in extractors if isinstance(extractors, nn.ModuleList) else [extractors]:
            check_extractor(extractor)

    @staticmethod
    def fits(model: Any) -> bool:
        """Whether this class supports a detector."""
        return (
            isinstance(model, TwoStageDetector)
            and isinstance(model.rpn_head, RPNHead)
            and not isinstance(model.rpn_head, GuidedAnchorHead)
            and type(model.roi_head) in (StandardRoIHead, CascadeRoIHead, GridRoIHead)
            and not (isinstance(model.roi_head, CascadeRoIHead) and model.roi_head.with_mask)
        )

    def anchors(self, priors: Priors, size: Tensor) -> Candidates:
        """Input of the NMS of the proposals; labels are levels."""
        priors = priors._replace(boxes=clipped(priors.boxes, size))
        found = best_of_levels(priors, self.rpn_cfg.get('nms_pre', -1), None, label_levels=True)
        return large_boxes(*found, self.rpn_cfg)

    def regions(self, features: Sequence[Tensor], proposals: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes ``(K, C * 4)``, or ``(K, 4)`` for all classes, and scores ``(K, C)`` of ``(K, 4)`` proposals."""
        rois = _rois(proposals)
        if isinstance(self.roi_head, CascadeRoIHead):
            rois, logits, deltas = self._refined(features, rois, size)
        else:
            out = roi_outputs(self.roi_head, features, rois)
            logits, deltas = out['cls_score'], out['bbox_pred']
        boxes = rois[:, 1:] if deltas is None else self.head.bbox_coder.decode(rois[:, 1:], deltas)
        return clipped(boxes.reshape(-1, 4), size).reshape(-1, boxes.shape[1]), logits.softmax(-1)[:, :-1]

    def _refined(self, features: Sequence[Tensor], rois: Tensor, size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """RoIs of the last stage, the mean of all stages' logits, and the last stage's deltas."""
        logits: Any = []
        for stage, head in enumerate(self.roi_head.bbox_head):
            out = stage_outputs(self.roi_head, stage, features, rois)
            logits.append(out['cls_score'])
            if head is not self.head:
                label = out['cls_score'][:, :-1].argmax(dim=1)
                boxes = head.regress_by_class(rois[:, 1:], label, out['bbox_pred'], dict(img_shape=None))
                rois = torch.cat((rois[:, :1], clipped(boxes, size)), dim=1)
        return rois, sum(logits) / len(logits), out['bbox_pred']

    def candidates(self, boxes: Tensor, scores: Tensor) -> Candidates:
        """Input of NMS, from the results of :meth:`regions`."""
        classes = scores.shape[1]
        if boxes.shape[1] == 4:
            boxes = boxes.repeat(1, classes)
        found, index = above(scores.flatten(), self.cfg.score_thr)
        return Candidates(boxes.reshape(-1, 4).index_select(0, index), found, index % classes)

    def forward(self, features: Sequence[Tensor], x: Tensor, size: Tensor) -> tuple[Candidates, dict[str, Tensor]]:
        """The detections, and the intermediate results by name."""
        priors = every_prior(self.rpn, self.rpn(features))
        anchors = self.anchors(priors, size)
        proposals = suppressed(*anchors, self.rpn_cfg, len(priors.counts)).boxes
        boxes, scores = self.regions(features, proposals, size)
        candidates = self.candidates(boxes, scores)
        found = suppressed(*candidates, self.cfg, self.head.num_classes)
        parts = dict(zip(FOUND, found))
        if isinstance(self.roi_head, GridRoIHead):
            parts['moved_boxes'] = self.moved(features, found.boxes, size)
            found = found._replace(boxes=parts['moved_boxes'])
        elif self.roi_head.with_mask:
            parts['masks'] = self.masks(features, found.boxes, found.labels)
        return found, parts | priors.parts('rpn_') | dict(zip(ANCHORS, anchors)) | dict(
            proposals=proposals, boxes=boxes, scores=scores
        ) | dict(zip(CANDIDATES, candidates))

    def stages(self, features: Sequence[Tensor], x: Tensor, size: Tensor) -> list[Stage]:
        """The parts in which an exported file is compared; MMDetection's ``predict_bbox`` computes boxes of RoIs."""
        priors = every_prior(self.rpn, self.rpn(features))
        stages = [Stage('scores and boxes of the RPN', {}, priors.parts('rpn_'))]
        made = made_priors(priors, size)
        stages.append(Stage('anchors', made.parts('rpn_'), dict(zip(ANCHORS, self.anchors(made, size)))))
        proposals = clipped(made_boxes(128, size), size)
        boxes, scores = _region_results(self.roi_head, features, proposals, size)
        stages.append(
            Stage('scores and boxes of given RoIs', dict(proposals=proposals), dict(boxes=boxes, scores=scores))
        )
        for power in (1.0, 40.0):
            given = dict(
                boxes=made_boxes(boxes.numel() // 4, size).view(boxes.shape), scores=made_scores(scores.shape, power)
            )
            stages.append(Stage('candidates', given, dict(zip(CANDIDATES, self.candidates(**given)))))
        if isinstance(self.roi_head, GridRoIHead):
            found = dict(found_boxes=proposals)
            stages.append(Stage('boxes by grid points', found, dict(moved_boxes=self.moved(features, proposals, size))))
        elif self.roi_head.with_mask:
            labels = torch.arange(len(proposals)) % self.head.num_classes
            # The output and the intermediate result are one tensor, which may have either name in the graph.
            found = dict(found_boxes=proposals, found_labels=labels, labels=labels)
            stages.append(Stage('masks', found, dict(masks=self.masks(features, proposals, labels))))
        return stages

    def suppressions(self) -> list[Suppression]:
        """Every NMS in the graph."""
        levels = len(self.rpn.prior_generator.strides)
        return [
            Suppression(ANCHORS, ('proposals',), self.rpn_cfg, levels),
            Suppression(CANDIDATES, FOUND, self.cfg, self.head.num_classes),
        ]

    def masks(self, features: Sequence[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        """Masks ``(K, h, w)``: the probability of the object in each cell of its box."""
        logits = mask_outputs(self.roi_head, features, _rois(_never_empty(boxes)))[:-1]
        if logits.shape[1] == 1:
            return logits[:, 0].sigmoid()
        rows = torch.arange(labels.shape[0], device=labels.device) * logits.shape[1]
        return logits.flatten(0, 1).index_select(0, rows + labels).sigmoid()

    def moved(self, features: Sequence[Tensor], boxes: Tensor, size: Tensor) -> Tensor:
        """Boxes refined by the grid points of a :class:`mmdet.models.GridRoIHead`."""
        extractor = self.roi_head.grid_roi_extractor
        regions = extractor(features[: extractor.num_inputs], _rois(_never_empty(boxes)))
        heatmaps = self.roi_head.grid_head(regions)['fused'][:-1]
        return clipped(grid_boxes(self.roi_head.grid_head, heatmaps, boxes, NO_LIMIT), size)


def _never_empty(boxes: Tensor) -> Tensor:
    """The boxes and one more: ONNX's form of a group norm fails where no object is found."""
    return F.pad(boxes, (0, 0, 0, 1))


def _rois(boxes: Tensor) -> Tensor:
    return torch.cat((torch.zeros_like(boxes[:, :1]), boxes), dim=1)


def _region_results(
    roi_head: Any, features: Sequence[Tensor], proposals: Tensor, size: Tensor
) -> tuple[Tensor, Tensor]:
    """The same as :meth:`TwoStage.regions`, computed by MMDetection's ``predict_bbox``."""
    width, height = size.tolist()
    predict: Any = (StandardRoIHead if isinstance(roi_head, GridRoIHead) else type(roi_head)).predict_bbox
    results = predict(roi_head, features, [dict(img_shape=(height, width))], [InstanceData(bboxes=proposals)], None)[0]
    return results.bboxes, results.scores[:, :-1]


def check_extractor(extractor: Any) -> None:
    """Raise a :class:`UserError` for a RoI extractor that cannot be exported."""
    if not isinstance(extractor, SingleRoIExtractor):
        raise UserError(
            f'model.roi_head.bbox_roi_extractor is a {type(extractor).__name__}, which cannot be exported: '
            f'expected SingleRoIExtractor.'
        )
    for layer in extractor.roi_layers:
        if isinstance(layer, PSRoIAlign):
            fits, options = layer.sampling_ratio > 0, f'sampling_ratio={layer.sampling_ratio}'
        else:
            pool_mode = getattr(layer, 'pool_mode', None)
            fits, options = isinstance(layer, RoIAlign) and pool_mode == 'avg', f'pool_mode={pool_mode!r}'
        if not fits:
            raise UserError(
                f'model.roi_head.bbox_roi_extractor has a {type(layer).__name__} with {options}, which '
                f"cannot be exported: expected RoIAlign with pool_mode='avg', or PSRoIAlign with "
                f'sampling_ratio=2.'
            )
