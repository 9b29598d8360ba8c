"""Which boxes are kept, in a graph: NMS within each class and the least size, and what of both a graph cannot do.

Where a detector's ``test_cfg`` asks for more, it is refused before anything is exported: the graph would find other
things, and on the one image of the check perhaps the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.ops import nms

from ..utils.errors import UserError

__all__ = ['check_min_size', 'check_most', 'check_nms', 'large_boxes', 'suppressed']

# What mmcv's nms and batched_nms take besides the threshold, and the values at which they change nothing.
_PLAIN = dict(type='nms', class_agnostic=False, offset=0, score_threshold=0, max_num=-1)
# Above so many boxes mmcv goes class by class to save memory, and keeps the same.
_WITHOUT_EFFECT = 'split_thr'


def check_nms(cfg: dict[str, Any] | None, name: str) -> None:
    """Raise a :class:`UserError` for any NMS but the plain one within each class.

    ``cfg`` is what mmcv's ``batched_nms`` takes, None for no NMS; ``name`` where it stands, ``model.test_cfg.nms``.
    """
    others = [f'{key}={value!r}' for key, value in (cfg or {}).items()
              if key not in ('iou_threshold', _WITHOUT_EFFECT) and (key not in _PLAIN or value != _PLAIN[key])]
    if not others and 'iou_threshold' not in (cfg or {}):
        others = ['no iou_threshold']
    if others:
        raise UserError(f"{name} has {', '.join(others)}, and a graph does plain NMS within each class alone: expected "
                        f"dict(type='nms', iou_threshold=0.6), with any threshold. Set it so in the config (with "
                        f'_delete_=True if it is inherited) and evaluate again: the detector will find other things.')


def check_min_size(cfg: Any, name: str) -> None:
    """Raise a :class:`UserError` for a one-stage detector's ``min_bbox_size`` above 0.

    It is counted on an image that the graph does not see. ``name`` says where ``cfg`` stands, ``model.test_cfg``.
    """
    size = cfg.get('min_bbox_size', -1)
    if size > 0:
        raise UserError(f'{name}.min_bbox_size={size} counts pixels of the image before it is resized, which a graph '
                        f'does not see: expected 0 or -1. Export with `cfg_options` {name}.min_bbox_size=0, and leave '
                        f'out small boxes of what the file finds.')


def check_most(cfg: Any, key: str, name: str, default: int | None = None) -> None:
    """Raise a :class:`UserError` for a number below 1 in a ``test_cfg``, ``default`` where it is missing.

    MMDetection slices from the end with it and loses the lowest scores. ``key`` is ``nms_pre`` or ``max_per_img``,
    ``name`` says where ``cfg`` stands, ``model.test_cfg``.
    """
    most = cfg.get(key, default)
    if most is None or most < 1:
        raise UserError(f'{name}.{key}={most}: with this value MMDetection slices from the end and drops the lowest '
                        f'scores, which a graph does not do. Expected a number of 1 or more: set it with '
                        f'`cfg_options` {name}.{key}=1000 and evaluate again.')


def large_boxes(boxes: Tensor, scores: Tensor, labels: Tensor, cfg: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The boxes ``(N, 4)`` with both sides longer than ``min_bbox_size``; all where that is negative or missing."""
    least = cfg.get('min_bbox_size', -1)
    if least < 0:
        return boxes, scores, labels
    large = (boxes[:, 2:] - boxes[:, :2] > least).all(dim=1).nonzero()[:, 0]
    return boxes.index_select(0, large), scores.index_select(0, large), labels.index_select(0, large)


class _ClassNms(torch.autograd.Function):
    """ONNX's NonMaxSuppression, which goes class by class: ``(1, K, 4)`` and ``(1, C, K)`` to rows 0, class, box.

    Boxes are not moved apart by class before one NMS for all, as mmcv does: half precision has no room for that.
    """

    @staticmethod
    def forward(ctx: Any, boxes: Tensor, scores: Tensor, iou_threshold: float, most: int) -> Tensor:
        rows = []
        for label, of_class in enumerate(scores[0]):
            place = (of_class > _ABSENT / 2).nonzero()[:, 0]
            kept = place[nms(boxes[0, place], of_class[place], iou_threshold)[:most]]
            rows.append(torch.stack((torch.zeros_like(kept), torch.full_like(kept, label), kept), dim=1))
        return torch.cat(rows)

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, iou_threshold: float, most: int) -> Any:
        return g.op(
            'NonMaxSuppression', boxes, scores, g.op('Constant', value_t=torch.tensor([most])),
            g.op('Constant', value_t=torch.tensor([iou_threshold], dtype=torch.float32)),
            g.op('Constant', value_t=torch.tensor([_ABSENT / 2], dtype=torch.float32)))


#: Stands for the score of a box in a class that is not its own.
_ABSENT = -1.0
#: ONNX has no number for "all".
_ALL = 2**31 - 1


def suppressed(boxes: Tensor, scores: Tensor, labels: Tensor, cfg: Any,
               classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """What NMS within each label leaves, best first, as mmcv's ``batched_nms``.

    Args:
        boxes, scores, labels: ``(K, 4)``; ``(K,)``, not negative; ``(K,)``, less than ``classes``.
        cfg: Its ``nms.iou_threshold``, and ``max_per_img``, where a number below 1 means all.
        classes: Number of labels.
    """
    most = cfg.max_per_img if cfg.max_per_img > 0 else _ALL
    own = labels == torch.arange(classes, device=labels.device)[:, None]
    by_class = torch.where(own, scores, torch.full_like(scores, _ABSENT))
    keep = _ClassNms.apply(boxes[None], by_class[None], float(cfg.nms.iou_threshold), most)[:, 2]
    best = scores.index_select(0, keep).sort(descending=True).indices[:most]
    keep = keep.index_select(0, best)
    return boxes.index_select(0, keep), scores.index_select(0, keep), labels.index_select(0, keep)
