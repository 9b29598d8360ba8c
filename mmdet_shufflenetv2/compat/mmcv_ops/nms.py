"""Non-maximum suppression of axis-aligned boxes."""

from __future__ import annotations

import torch
from torch import Tensor

from ._kernels import check_columns, check_inputs, check_threshold, to_kernel_dtype

__all__ = ['nms', 'nms_match', 'softnms']


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Greedy non-maximum suppression.

    Args:
        boxes: ``(N, 4)`` corners x1, y1, x2, y2 in pixels.
        scores: ``(N,)``.
        iou_threshold: A box that overlaps a better one by more than this is dropped.
        offset: 0, or 1 if the last pixel is part of the box (width is x2 - x1 + 1).

    Returns:
        ``(K,)`` int64 indices of the kept boxes, best score first.
    """
    _check(boxes, scores, iou_threshold)
    if boxes.numel() == 0:
        return torch.empty(0, dtype=torch.long, device=boxes.device)
    boxes, scores = to_kernel_dtype(boxes), to_kernel_dtype(scores)
    if offset:
        # With x2 and y2 increased by the offset, torchvision's widths and overlaps are mmcv's.
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torch.ops.torchvision.nms(boxes, scores.to(boxes.dtype), float(iou_threshold))


def _check(boxes: Tensor, scores: Tensor, iou_threshold: float) -> None:
    check_inputs(boxes=boxes, scores=scores)
    check_columns(4, boxes=boxes)
    if scores.shape != boxes.shape[:1]:
        raise ValueError(f'scores has shape {tuple(scores.shape)}, expected one score per box: ({len(boxes)},).')
    check_threshold(iou_threshold)


#: mmcv's numbers of the soft-NMS methods.
_NAIVE, _LINEAR, _GAUSSIAN = 0, 1, 2


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (Bodla et al., ICCV 2017): boxes that overlap a kept box get a lower score instead of being dropped.

    Args:
        boxes: ``(N, 4)`` corners in pixels, on the CPU (mmcv moves them there).
        scores: ``(N,)``.
        dets: ``(N, 5)``, filled with the kept boxes and their lowered scores; the remaining rows are unchanged.
        iou_threshold: Smallest overlap for which the naive and the linear method lower a score.
        sigma: Sigma of the gaussian method.
        min_score: Boxes below it are dropped.
        method: 0 naive, 1 linear, 2 gaussian.
        offset: 0 or 1, as in :func:`nms`.

    Returns:
        ``(K,)`` int64 indices of the kept boxes, in the order of selection.
    """
    _check(boxes, scores, iou_threshold)
    rows = torch.cat((boxes, scores[:, None]), dim=1).to(dets.dtype).clone()
    areas = (rows[:, 2] - rows[:, 0] + offset) * (rows[:, 3] - rows[:, 1] + offset)
    indices = torch.arange(len(rows))
    count = len(rows)
    done = 0
    while done < count:
        # The order of equal scores depends on earlier swaps, so this repeats every swap of the compiled operator.
        best = done + int(rows[done:count, 4].argmax())
        for column in (rows, areas, indices):
            column[[done, best]] = column[[best, done]]
        selected, rest = rows[done], slice(done + 1, count)
        corner_min = torch.maximum(rows[rest, :2], selected[:2])
        corner_max = torch.minimum(rows[rest, 2:4], selected[2:4])
        intersection = (corner_max - corner_min + offset).clamp_(min=0).prod(dim=1)
        iou = intersection / (areas[done] + areas[rest] - intersection)
        rows[rest, 4] *= _soft_weight(iou, iou_threshold, sigma, method)
        keep = rows[rest, 4] >= min_score
        order = done + 1 + _order_after_removal(keep)
        for column in (rows, areas, indices):
            column[done + 1 : done + 1 + len(order)] = column[order]
        done, count = done + 1, done + 1 + len(order)
    dets[:count] = rows[:count]
    return indices[:count]


def _soft_weight(iou: Tensor, iou_threshold: float, sigma: float, method: int) -> Tensor:
    if method == _GAUSSIAN:
        return torch.exp(-iou.nan_to_num(0).square() / sigma)  # the overlap of two boxes without area is 0/0
    lowered = 1 - iou if method == _LINEAR else torch.zeros_like(iou)
    return torch.where(iou >= iou_threshold, lowered, torch.ones_like(iou))


def _order_after_removal(keep: Tensor) -> Tensor:
    """Order of the kept entries if the last entry of the list replaces each dropped entry, from first to last."""
    count = int(keep.sum())
    order = torch.arange(count)
    order[~keep[:count]] = count + keep[count:].nonzero().flatten().flip(0)
    return order


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Greedy non-maximum suppression that also returns the boxes that each kept box has suppressed.

    Args:
        dets: ``(N, 5)``: x1, y1, x2, y2 in pixels, score.
        iou_threshold: A box that overlaps a better one by at least this joins its group.

    Returns:
        Groups of indices, sorted by score; the kept box is the first of its group.
    """
    check_columns(5, dets=dets)
    check_threshold(iou_threshold)
    boxes, scores = dets[:, :4], dets[:, 4]
    order = scores.sort(descending=True).indices
    boxes = boxes[order]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    free = torch.ones(len(boxes), dtype=torch.bool, device=dets.device)
    groups = []
    for i in range(len(boxes)):
        if not free[i]:
            continue
        sides = torch.minimum(boxes[i, 2:], boxes[i:, 2:]) - torch.maximum(boxes[i, :2], boxes[i:, :2])
        intersection = sides.clamp(min=0).prod(dim=1)
        members = free[i:] & (intersection / (areas[i] + areas[i:] - intersection) >= iou_threshold)
        members[0] = True  # the overlap of a box without area with itself is not 1
        groups.append(order[i:][members].tolist())
        free[i:] &= ~members
    return groups
