"""One-stage heads with a prediction for each anchor or point: RetinaNet, FCOS, ATSS, GFL, VFNet, TOOD, RepPoints,
YOLOX, RTMDet, SSD, NanoDet, and others that inherit ``predict_by_feat`` from MMDetection's ``BaseDenseHead``.

The head's own ``predict_by_feat`` decodes scores and boxes of all anchors; only its selection is replaced.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from mmdet.models.dense_heads import RepPointsHead, TOODHead, YOLOXHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ...compat.patches import replaced
from ...models.nanodet import NanoDetHead
from ...utils.errors import UserError
from .selection import (
    FOUND,
    Candidates,
    Priors,
    Suppression,
    best_class_alone,
    best_of_levels,
    check_min_size,
    check_most,
    check_nms,
    clipped,
    large_boxes,
    suppressed,
)
from .stages import Stage, made_priors

__all__ = ['CANDIDATES', 'NO_LIMIT', 'DenseHead', 'clips', 'every_prior']

#: Inputs of NMS: boxes, scores and labels.
CANDIDATES = ('candidate_boxes', 'candidate_scores', 'candidate_labels')

#: Height and width larger than any box, for heads that always clip boxes. Half precision can represent it.
NO_LIMIT = (32768, 32768)


def every_prior(head: Any, outputs: Sequence[Sequence[Tensor]]) -> Priors:
    """All boxes and scores that a head's ``predict_by_feat`` decodes for the first image of a batch, unfiltered."""
    counts: list[int] = []

    def keep_all(scores: Tensor, score_thr: float, topk: int, results: Any = None) -> tuple[Any, ...]:
        counts.append(scores.shape[0])
        return scores, scores.new_zeros(scores.shape[0], dtype=torch.long), slice(None), results

    limit = NO_LIMIT if isinstance(head, (RepPointsHead, NanoDetHead)) else None
    cfg = ConfigDict({**head.test_cfg, 'nms_pre': -1, 'score_thr': -1.0})
    with ExitStack() as stack:
        for module in {sys.modules[cls.__module__] for cls in type(head).__mro__}:
            if hasattr(module, 'filter_scores_and_topk'):
                stack.enter_context(replaced('mmdet.models.utils.filter_scores_and_topk', module, keep_all))
        stack.enter_context(
            replaced('BaseDenseHead._bbox_post_process', head, lambda results, *args, **kwargs: results)
        )
        results = head.predict_by_feat(
            *outputs, batch_img_metas=[dict(img_shape=limit)], cfg=cfg, rescale=False, with_nms=False
        )[0]
    return _priors(
        head,
        outputs,
        results,
        counts
        or [
            one.shape[-2] * one.shape[-1] * number
            for one, number in zip(outputs[0], head.prior_generator.num_base_priors)
        ],
    )


def _priors(head: Any, outputs: Sequence[Sequence[Tensor]], results: InstanceData, counts: list[int]) -> Priors:
    scores = results.scores
    if isinstance(head, YOLOXHead):  # its results have only the best class of each point
        scores, objectness = (torch.cat([one[0].flatten(1).T for one in outputs[part]]).sigmoid() for part in (0, 2))
        scores, counts = scores * objectness, [scores.shape[0]]
    elif scores.dim() == 1:  # of an RPN
        scores = scores[:, None]
    return Priors(results.bboxes, scores, results.get('score_factors'), counts)


def clips(head: Any) -> bool:
    """Whether a head cuts boxes to the image before NMS."""
    if isinstance(head, RepPointsHead):
        return True
    return not isinstance(head, (TOODHead, YOLOXHead)) and getattr(head.bbox_coder, 'clip_border', True)


class DenseHead(nn.Module):
    """A one-stage head with its selection of boxes."""

    head: Any
    cfg: Any

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.head, self.cfg = model.bbox_head, model.test_cfg
        check_nms(self.cfg.get('nms'), 'model.test_cfg.nms')
        check_min_size(self.cfg, 'model.test_cfg')
        if not isinstance(self.head, YOLOXHead):  # it has no limit
            check_most(self.cfg, 'max_per_img', 'model.test_cfg')
        if 'nms_pre' in self.cfg:
            check_most(self.cfg, 'nms_pre', 'model.test_cfg')

    @staticmethod
    def fits(model: Any) -> bool:
        """Whether this class supports a detector."""
        head = getattr(model, 'bbox_head', None)
        return isinstance(head, BaseDenseHead) and type(head).predict_by_feat in (
            BaseDenseHead.predict_by_feat,
            YOLOXHead.predict_by_feat,
            NanoDetHead.predict_by_feat,
        )

    def priors(self, features: Sequence[Tensor]) -> Priors:
        """The predictions of all anchors or points."""
        return every_prior(self.head, self.head(features))

    def candidates(self, priors: Priors, size: Tensor) -> Candidates:
        """Input of NMS; ``size`` is the image's width and height."""
        if clips(self.head):
            priors = priors._replace(boxes=clipped(priors.boxes, size))
        if isinstance(self.head, YOLOXHead):
            priors = priors._replace(scores=best_class_alone(priors.scores))
        return large_boxes(*best_of_levels(priors, self.cfg.get('nms_pre', -1), self.cfg.get('score_thr', 0)), self.cfg)

    def stages(self, features: Sequence[Tensor], x: Tensor, size: Tensor) -> list[Stage]:
        """The parts in which an exported file is compared with the detector; arguments as in :meth:`forward`."""
        self.check_selection(features, size)
        priors = self.priors(features)
        stages = [Stage('scores and boxes', {}, priors.parts())]
        for power in (1.0, 40.0):  # more candidates than nms_pre keeps, and fewer
            made = made_priors(priors, size, power)
            stages.append(Stage('candidates', made.parts(), dict(zip(CANDIDATES, self.candidates(made, size)))))
        return stages

    def check_selection(self, features: Sequence[Tensor], size: Tensor) -> None:
        """Raise a :class:`UserError` if the head itself selects other boxes from made-up outputs than this class."""
        generator = torch.Generator().manual_seed(0)
        outputs = [[torch.randn(one.shape, generator=generator) for one in many] for many in self.head(features)]
        width, height = size.tolist()
        found = self.head.predict_by_feat(*outputs, batch_img_metas=[dict(img_shape=(height, width))], rescale=False)[0]
        own = suppressed(*self.candidates(every_prior(self.head, outputs), size), self.cfg, self.head.num_classes)
        same = min(len(found), len(own.scores))
        # Rounding may decide for boxes whose overlap equals the threshold.
        if abs(len(found) - len(own.scores)) > 2 or (found.scores[:same] - own.scores[:same]).abs().mean() > 1e-3:
            raise UserError(
                f'{type(self.head).__name__} selects boxes with code of its own, which cannot be exported. '
                f'Export only the backbone: backbone_only=True.'
            )

    def suppressions(self) -> list[Suppression]:
        """Every NMS in the graph."""
        return [Suppression(CANDIDATES, FOUND, self.cfg, self.head.num_classes)]

    def forward(self, features: Sequence[Tensor], x: Tensor, size: Tensor) -> tuple[Candidates, dict[str, Tensor]]:
        """The detections, and the intermediate results by name: fields of :class:`.Priors`, :class:`.Candidates`.

        Args:
            features: The neck's outputs for one image.
            x: Input of the backbone.
            size: Width and height to which boxes are clipped, in pixels.
        """
        priors = self.priors(features)
        candidates = self.candidates(priors, size)
        found = suppressed(*candidates, self.cfg, self.head.num_classes)
        return found, priors.parts() | dict(zip(CANDIDATES, candidates))
