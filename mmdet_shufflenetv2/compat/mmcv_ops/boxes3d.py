"""Overlap and non-maximum suppression of boxes seen from above."""

from __future__ import annotations

import torch
from torch import Tensor

from ._kernels import check_columns, check_inputs
from .rotated import common_area, corners_of

__all__ = ['iou3d_boxes_overlap_bev_forward', 'iou3d_nms3d_forward', 'iou3d_nms3d_normal_forward']


def iou3d_boxes_overlap_bev_forward(boxes_a: Tensor, boxes_b: Tensor, ans_overlap: Tensor) -> None:
    """Area that each two boxes have in common, seen from above.

    Args:
        boxes_a, boxes_b: ``(M, 7)`` and ``(N, 7)``: centre x, y, z, size along x, y, z, angle about z in radians.
        ans_overlap: ``(M, N)``, filled.
    """
    check_inputs(boxes_a=boxes_a, boxes_b=boxes_b)
    check_columns(7, boxes_a=boxes_a, boxes_b=boxes_b)
    for row, box in zip(ans_overlap, boxes_a):
        row.copy_(_common(box, boxes_b))


def iou3d_nms3d_forward(boxes: Tensor, keep: Tensor, keep_num: Tensor, nms_overlap_thresh: float) -> None:
    """Greedy non-maximum suppression of turned boxes, seen from above.

    Args:
        boxes: ``(N, 7)`` as in :func:`iou3d_boxes_overlap_bev_forward`, best score first.
        keep: ``(N,)`` int64; the first entries are filled with the indices of the kept boxes.
        keep_num: ``()`` int64, filled with their number.
        nms_overlap_thresh: A box that overlaps a better one by more than this is dropped.
    """
    check_inputs(boxes=boxes)
    check_columns(7, boxes=boxes)
    areas = boxes[:, 3] * boxes[:, 4]
    dropped = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    kept = []
    for i in range(len(boxes)):
        if not dropped[i]:
            kept.append(i)
            common = _common(boxes[i], boxes[i + 1:])
            dropped[i + 1:] |= common / (areas[i] + areas[i + 1:] - common).clamp(min=1e-8) > nms_overlap_thresh
    keep[:len(kept)] = torch.tensor(kept, dtype=keep.dtype, device=keep.device)
    keep_num.fill_(len(kept))


def iou3d_nms3d_normal_forward(boxes: Tensor, keep: Tensor, keep_num: Tensor, nms_overlap_thresh: float) -> None:
    """:func:`iou3d_nms3d_forward` as if every angle were 0."""
    upright = torch.cat((boxes[:, :6], torch.zeros_like(boxes[:, 6:])), dim=1)
    iou3d_nms3d_forward(upright, keep, keep_num, nms_overlap_thresh)


def _common(box: Tensor, boxes: Tensor) -> Tensor:
    """``(N,)`` areas that a box ``(7,)`` and each of ``(N, 7)`` have in common."""
    flat = boxes[:, [0, 1, 3, 4, 6]].double()
    one = box[[0, 1, 3, 4, 6]].double().expand_as(flat).clone()
    middle = (one[:, :2] + flat[:, :2]) / 2  # far from the origin there are fewer digits
    one[:, :2] -= middle
    flat[:, :2] -= middle
    return common_area(corners_of(one), corners_of(flat)).to(boxes.dtype)
