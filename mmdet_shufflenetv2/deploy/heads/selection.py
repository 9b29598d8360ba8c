"""Selection of boxes in a graph: top-k, per-class NMS, minimum size.

A ``test_cfg`` with other options is an error before the export. Otherwise the graph's detections could differ from the
detector's on images that the check does not use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import nms

from ...utils.errors import UserError

__all__ = [
    'FOUND',
    'Candidates',
    'Priors',
    'Suppression',
    'above',
    'best',
    'best_class_alone',
    'best_of_levels',
    'check_min_size',
    'check_most',
    'check_nms',
    'clipped',
    'large_boxes',
    'suppressed',
]


class Candidates(NamedTuple):
    """Input or output of NMS: boxes ``(K, 4)``, scores ``(K,)``, labels ``(K,)``."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class Priors(NamedTuple):
    """A dense head's predictions for all anchors or points."""

    #: ``(P, 4)``: x1, y1, x2, y2 in pixels of the network's input, not clipped.
    boxes: Tensor
    #: ``(P, C)``, 0 to 1.
    scores: Tensor
    #: ``(P,)``: factors of the scores, such as centerness; None without any.
    factors: Tensor | None
    #: Number of anchors or points of each level.
    counts: Sequence[int]

    def parts(self, prefix: str = '') -> dict[str, Tensor]:
        """Its tensors by name."""
        values = (self.boxes, self.scores, self.factors)
        return {f'{prefix}{name}': value for name, value in zip(self._fields, values) if value is not None}


#: The detections: boxes, in pixels of the padded input, scores and labels.
FOUND = ('found_boxes', 'found_scores', 'found_labels')


class Suppression(NamedTuple):
    """An NMS in a graph."""

    #: Names of its inputs: boxes, scores, labels.
    given: tuple[str, str, str]
    #: Names of its outputs: boxes, scores, labels, or only boxes.
    outputs: tuple[str, ...]
    #: A ``test_cfg`` with ``nms`` and ``max_per_img``.
    cfg: Any
    #: Number of labels.
    classes: int


def best_of_levels(priors: Priors, most: int, score_thr: float | None, label_levels: bool = False) -> Candidates:
    """The best pairs of prior and class of each level whose score is above the threshold.

    As ``mmdet.models.utils.filter_scores_and_topk``. ``most`` is the maximum per level; below 1, there is none. Labels
    are classes, or levels with ``label_levels``.
    """
    classes, start, scores, prior, labels = priors.scores.shape[1], 0, [], [], []
    for level, count in enumerate(priors.counts):
        of_level = priors.scores[start : start + count].flatten()
        score, index = _top(of_level, most) if most > 0 else (of_level, None)
        score, index = above(score, score_thr, index)
        scores.append(score)
        prior.append(index // classes + start)
        labels.append(torch.full_like(index, level) if label_levels else index % classes)
        start = start + count
    found, index = torch.cat(scores), torch.cat(prior)
    if priors.factors is not None:
        found = found * priors.factors.index_select(0, index)
    return Candidates(priors.boxes.index_select(0, index), found, torch.cat(labels))


def best_class_alone(scores: Tensor) -> Tensor:
    """Scores ``(P, C)`` with -1 for all but the best class of each row."""
    own = scores.argmax(dim=1, keepdim=True) == torch.arange(scores.shape[1], device=scores.device)
    return torch.where(own, scores, torch.full_like(scores, -1.0))


def best(scores: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """The highest ``most`` of ``(P, C)`` scores, in descending order: scores, row indices, column indices."""
    score, index = _top(scores.flatten(), most)
    score, index = above(score, -0.5, index)
    return score, index // scores.shape[1], index % scores.shape[1]


def _top(scores: Tensor, most: int) -> tuple[Tensor, Tensor]:
    # TopK needs at least `most` values. The padding is below any threshold.
    return F.pad(scores, (0, most), value=-1.0).topk(most)


def above(scores: Tensor, threshold: float | None, index: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The scores ``(K,)`` above a threshold and their ``index``; without a threshold, all scores of 0 or more."""
    kept = (scores > (-0.5 if threshold is None else max(threshold, -0.5))).nonzero()[:, 0]
    return scores.index_select(0, kept), kept if index is None else index.index_select(0, kept)


def clipped(boxes: Tensor, size: Tensor) -> Tensor:
    """Boxes ``(N, 4)`` clipped to ``size``: width and height."""
    return boxes.clamp(min=0).minimum(size.repeat(2).to(boxes.dtype))


# Other options of mmcv's nms and batched_nms than the threshold, with the values that have no effect.
_PLAIN = dict(type='nms', class_agnostic=False, offset=0, score_threshold=0, max_num=-1)
# With more boxes than this, mmcv processes one class at a time to save memory. The result is the same.
_WITHOUT_EFFECT = 'split_thr'


def check_nms(cfg: dict[str, Any] | None, name: str) -> None:
    """Raise a :class:`UserError` for any NMS other than per-class NMS without further options.

    ``cfg`` is the argument of mmcv's ``batched_nms``, None for no NMS; ``name`` is its key in the config, such as
    ``model.test_cfg.nms``.
    """
    others = [
        f'{key}={value!r}'
        for key, value in (cfg or {}).items()
        if key not in ('iou_threshold', _WITHOUT_EFFECT) and (key not in _PLAIN or value != _PLAIN[key])
    ]
    if not others and 'iou_threshold' not in (cfg or {}):
        others = ['no iou_threshold']
    if others:
        raise UserError(
            f'{name} has {", ".join(others)}: only per-class NMS can be exported. Expected '
            f"dict(type='nms', iou_threshold=0.6), with any threshold. Change the config (with _delete_=True "
            f'if it is inherited) and evaluate again, because the detections will change.'
        )


def check_min_size(cfg: Any, name: str) -> None:
    """Raise a :class:`UserError` for a one-stage detector's ``min_bbox_size`` above 0.

    It is measured in the original image, which is not an input of the graph. ``name`` is the config key of ``cfg``,
    such as ``model.test_cfg``.
    """
    size = cfg.get('min_bbox_size', -1)
    if size > 0:
        raise UserError(
            f'{name}.min_bbox_size={size}: expected 0 or -1. It counts pixels of the image before resizing, '
            f'which a graph does not know. Export with `cfg_options` {name}.min_bbox_size=0, and filter '
            f'small boxes yourself.'
        )


def check_most(cfg: Any, key: str, name: str, default: int | None = None) -> None:
    """Raise a :class:`UserError` for a maximum below 1 in a ``test_cfg``; ``default`` is used if it is missing.

    MMDetection takes such a number as a slice from the end and drops the lowest scores. ``key`` is ``nms_pre`` or
    ``max_per_img``; ``name`` is the config key of ``cfg``, such as ``model.test_cfg``.
    """
    most = cfg.get(key, default)
    if most is None or most < 1:
        raise UserError(
            f'{name}.{key}={most}: expected 1 or more. With this value MMDetection drops the lowest scores, '
            f'which cannot be exported. Set `cfg_options` {name}.{key}=1000 and evaluate again.'
        )


def large_boxes(boxes: Tensor, scores: Tensor, labels: Tensor, cfg: Any) -> Candidates:
    """The boxes ``(N, 4)`` with both sides longer than ``min_bbox_size``; all if that is negative or missing."""
    least = cfg.get('min_bbox_size', -1)
    if least < 0:
        return Candidates(boxes, scores, labels)
    large = (boxes[:, 2:] - boxes[:, :2] > least).all(dim=1).nonzero()[:, 0]
    return Candidates(*(column.index_select(0, large) for column in (boxes, scores, labels)))


class _ClassNms(torch.autograd.Function):
    """ONNX's NonMaxSuppression, per class: boxes ``(1, K, 4)``, scores ``(1, C, K)`` to rows of 0, class, box index.

    mmcv shifts boxes by class and runs one NMS instead. The shifted coordinates would overflow in half precision.
    """

    @staticmethod
    def forward(ctx: Any, boxes: Tensor, scores: Tensor, iou_threshold: float, most: int) -> Tensor:
        rows = []
        for label, of_class in enumerate(scores[0]):
            index = (of_class > _ABSENT / 2).nonzero()[:, 0]
            kept = index[nms(boxes[0, index], of_class[index], iou_threshold)[:most]]
            rows.append(torch.stack((torch.zeros_like(kept), torch.full_like(kept, label), kept), dim=1))
        return torch.cat(rows)

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, iou_threshold: float, most: int) -> Any:
        return g.op(
            'NonMaxSuppression',
            boxes,
            scores,
            g.op('Constant', value_t=torch.tensor([most])),
            g.op('Constant', value_t=torch.tensor([iou_threshold], dtype=torch.float32)),
            g.op('Constant', value_t=torch.tensor([_ABSENT / 2], dtype=torch.float32)),
        )


#: Score of a box in all classes but its label.
_ABSENT = -1.0
#: For no maximum: ONNX has no value for that.
_ALL = 2**31 - 1


def suppressed(boxes: Tensor, scores: Tensor, labels: Tensor, cfg: Any, classes: int) -> Candidates:
    """Boxes that per-label NMS keeps, in descending order of scores, as mmcv's ``batched_nms``.

    Args:
        boxes, scores, labels: ``(K, 4)``; ``(K,)``, not negative; ``(K,)``, less than ``classes``.
        cfg: With ``nms.iou_threshold``, and ``max_per_img``, where a number below 1 means no maximum.
        classes: Number of labels.
    """
    most = cfg.get('max_per_img', -1)
    most = most if most > 0 else _ALL
    own = labels == torch.arange(classes, device=labels.device)[:, None]
    by_class = torch.where(own, scores, torch.full_like(scores, _ABSENT))
    keep = _ClassNms.apply(boxes[None], by_class[None], float(cfg.nms.iou_threshold), most)[:, 2]
    best = scores.index_select(0, keep).sort(descending=True).indices[:most]
    keep = keep.index_select(0, best)
    return Candidates(*(column.index_select(0, keep) for column in (boxes, scores, labels)))
