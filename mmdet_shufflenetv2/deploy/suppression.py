"""Which boxes are kept, in a graph: NMS within each class and the least size, and what of both a graph cannot do.

Where a detector's ``test_cfg`` asks for more, it is refused before anything is exported: the graph would find other
things, and on the one image of the check perhaps the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.ops import nms

from ..errors import UserError

__all__ = ['check_min_size', 'check_nms', 'large_boxes', 'suppressed']

# What mmcv's nms and batched_nms take besides the threshold, and the values at which they change nothing.
_PLAIN = dict(type='nms', class_agnostic=False, offset=0, score_threshold=0, max_num=-1)
# Above so many boxes mmcv goes class by class to save memory, and keeps the same.
_WITHOUT_EFFECT = 'split_thr'


def check_nms(cfg: dict[str, Any] | None, name: str) -> None:
    """Refuse any NMS but the plain one within each class.

    Args:
        cfg: What the detector does, as mmcv's ``batched_nms`` takes it; None for no NMS.
        name: Where that stands in the config, ``model.test_cfg.nms``.

    Raises:
        UserError: If it is another kind, or has options that change what it keeps.
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
    """Refuse a least size of boxes that is counted on an image which the graph does not see.

    Args:
        cfg: The ``test_cfg`` of a one-stage detector.
        name: Where it stands in the config, ``model.test_cfg``.

    Raises:
        UserError: If ``min_bbox_size`` is more than 0.
    """
    size = cfg.get('min_bbox_size', -1)
    if size > 0:
        raise UserError(f'{name}.min_bbox_size={size} counts pixels of the image before it is resized, which a graph '
                        f'does not see: expected 0 or -1. Export with --cfg-options {name}.min_bbox_size=0, and leave '
                        f'out small boxes of what the file finds.')


def large_boxes(boxes: Tensor, scores: Tensor, labels: Tensor, cfg: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The boxes ``(N, 4)`` with both sides longer than ``min_bbox_size``; all where that is negative or missing."""
    least = cfg.get('min_bbox_size', -1)
    if least < 0:
        return boxes, scores, labels
    large = (boxes[:, 2:] - boxes[:, :2] > least).all(dim=1).nonzero()[:, 0]
    return boxes.index_select(0, large), scores.index_select(0, large), labels.index_select(0, large)


def suppressed(boxes: Tensor, scores: Tensor, labels: Tensor, cfg: Any) -> tuple[Tensor, Tensor, Tensor]:
    """What NMS within each label leaves, best first, as mmcv's ``batched_nms``: boxes moved apart by label."""
    # The sum with 0 gives the maximum of an empty set of boxes.
    apart = torch.cat((boxes.flatten(), boxes.new_zeros(1))).max() + 1
    keep = nms(boxes + (labels * apart)[:, None], scores, cfg.nms.iou_threshold)[:cfg.max_per_img]
    return boxes.index_select(0, keep), scores.index_select(0, keep), labels.index_select(0, keep)
