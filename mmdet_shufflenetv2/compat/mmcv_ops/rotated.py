"""Overlap and non-maximum suppression of rotated boxes and of quadrilaterals.

mmcv's kernel treats every quadrilateral as a rectangle. For rectangles the results are the same. For other
quadrilaterals mmcv's overlaps can be above 1 or below 0; here the intersection area is exact.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ._kernels import check_columns, check_inputs, check_threshold

__all__ = ['box_iou_quadri', 'box_iou_rotated', 'nms_quadri', 'nms_rotated']

_IOU, _IOF = 0, 1

# Number of pairs computed at once: each has 24 candidate corners, about 1 KiB.
_PAIRS_AT_ONCE = 1 << 18


def box_iou_rotated(boxes1: Tensor, boxes2: Tensor, ious: Tensor, mode_flag: int, aligned: bool) -> None:
    """Compute the overlap of rotated boxes.

    Args:
        boxes1, boxes2: ``(N, 5)`` and ``(M, 5)``: center x, y, width, height in pixels, angle in radians.
        ious: ``(N * M,)``, or ``(N,)`` with ``aligned``; filled.
        mode_flag: 0 intersection over union, 1 intersection over the area of the first box.
        aligned: Only compare the i-th box with the i-th box.
    """
    check_inputs(boxes1=boxes1, boxes2=boxes2)
    check_columns(5, boxes1=boxes1, boxes2=boxes2)
    _fill_overlaps(_rotated_overlap, boxes1, boxes2, ious, mode_flag, aligned)


def box_iou_quadri(boxes1: Tensor, boxes2: Tensor, ious: Tensor, mode_flag: int, aligned: bool) -> None:
    """Compute the overlap of quadrilaterals.

    Args:
        boxes1, boxes2: ``(N, 8)`` and ``(M, 8)``: x and y of the four corners in order around it, in pixels.
        ious, mode_flag, aligned: As in :func:`box_iou_rotated`.
    """
    check_inputs(boxes1=boxes1, boxes2=boxes2)
    _fill_overlaps(_quadrilateral_overlap, boxes1, boxes2, ious, mode_flag, aligned)


def _fill_overlaps(
    overlap: Callable[[Tensor, Tensor, int], Tensor],
    boxes1: Tensor,
    boxes2: Tensor,
    ious: Tensor,
    mode_flag: int,
    aligned: bool,
) -> None:
    """Compute the overlaps of all pairs, or of the i-th with the i-th box, in batches."""
    if aligned:
        first, second = boxes1, boxes2
    else:
        first = boxes1.repeat_interleave(len(boxes2), dim=0)
        second = boxes2.repeat(len(boxes1), 1)
    batches = zip(torch.split(first, _PAIRS_AT_ONCE), torch.split(second, _PAIRS_AT_ONCE))
    out = [overlap(a, b, mode_flag) for a, b in batches]
    ious.copy_(torch.cat(out) if out else ious.new_zeros(0))


def nms_rotated(
    dets: Tensor,
    scores: Tensor,
    order: Tensor,
    dets_sorted: Tensor,
    labels: Tensor,
    iou_threshold: float,
    multi_label: bool,
) -> Tensor:
    """Greedy non-maximum suppression of rotated boxes.

    Args:
        dets: ``(N, 5)`` rotated boxes as in :func:`box_iou_rotated`; with ``multi_label`` a sixth column, the label.
        scores: ``(N,)``.
        order, dets_sorted, labels: Arguments of the compiled operators of some devices, not used.
        iou_threshold: A box that overlaps a better one by at least this (on a GPU: by more) is dropped.
        multi_label: On a GPU, boxes with different labels do not suppress each other. On the CPU labels are ignored,
            as in mmcv's compiled operator.

    Returns:
        ``(K,)`` int64 indices of the kept boxes, best score first.
    """
    check_inputs(dets=dets, scores=scores)
    check_threshold(iou_threshold)
    return _greedy_nms(_rotated_overlap, 5, dets, scores, iou_threshold, multi_label)


def nms_quadri(
    dets: Tensor, scores: Tensor, order: Tensor, dets_sorted: Tensor, iou_threshold: float, multi_label: bool
) -> Tensor:
    """Greedy non-maximum suppression of quadrilaterals.

    Args:
        dets: ``(N, 8)`` corners as in :func:`box_iou_quadri`; with ``multi_label`` a ninth column, the label.

    Other arguments and the result are as in :func:`nms_rotated`.
    """
    check_inputs(dets=dets, scores=scores)
    check_threshold(iou_threshold)
    return _greedy_nms(_quadrilateral_overlap, 8, dets, scores, iou_threshold, multi_label)


def _greedy_nms(
    overlap: Callable[[Tensor, Tensor, int], Tensor],
    columns: int,
    dets: Tensor,
    scores: Tensor,
    iou_threshold: float,
    multi_label: bool,
) -> Tensor:
    """Non-maximum suppression with any overlap function; ``columns`` is the number of columns before the label."""
    order = scores.sort(descending=True).indices
    boxes = dets[order]
    dropped = torch.zeros(len(boxes), dtype=torch.bool, device=dets.device)
    kept = []
    for i in range(len(boxes)):
        if dropped[i]:
            continue
        kept.append(i)
        rest = boxes[i + 1 :]
        iou = overlap(boxes[i, :columns].expand(len(rest), columns), rest[:, :columns], _IOU)
        near = iou > iou_threshold if dets.is_cuda else iou >= iou_threshold
        if multi_label and dets.is_cuda:
            near &= rest[:, columns] == boxes[i, columns]
        dropped[i + 1 :] |= near
    return order[torch.tensor(kept, dtype=torch.long, device=dets.device)]


def _rotated_overlap(first: Tensor, second: Tensor, mode: int) -> Tensor:
    """``(P,)`` overlaps of ``(P, 5)`` and ``(P, 5)`` boxes."""
    dtype = first.dtype
    # Relative to the middle of the pair, as large coordinates are less precise. In float64, to distinguish points on an
    # edge from points near it.
    first, second = first.double().clone(), second.double().clone()
    middle = (first[:, :2] + second[:, :2]) / 2
    first[:, :2] -= middle
    second[:, :2] -= middle
    areas1, areas2 = (boxes[:, 2] * boxes[:, 3] for boxes in (first, second))
    intersection = intersection_area(corners_of(first), corners_of(second))
    base = areas1 if mode == _IOF else areas1 + areas2 - intersection
    empty = (areas1 < 1e-14) | (areas2 < 1e-14)
    return torch.where(empty, 0.0, intersection / base.clamp(min=1e-300)).to(dtype)


def _quadrilateral_overlap(first: Tensor, second: Tensor, mode: int) -> Tensor:
    """``(P,)`` overlaps of ``(P, 8)`` and ``(P, 8)`` boxes."""
    corners1, corners2 = (boxes.double().view(-1, 4, 2) for boxes in (first, second))
    # Relative to the middle of the pair, as for rotated boxes.
    middle = (corners1.mean(1, keepdim=True) + corners2.mean(1, keepdim=True)) / 2
    corners1, corners2 = corners1 - middle, corners2 - middle
    areas1, areas2 = (_signed_area(corners) for corners in (corners1, corners2))
    # A quadrilateral is the sum of its two triangles at the first corner, or their difference if it is not convex.
    halves1, halves2 = (torch.cat((corners[:, :3], corners[:, [0, 2, 3]])) for corners in (corners1, corners2))
    halves1, halves2 = halves1.repeat(2, 1, 1), torch.cat((halves2, halves2.view(2, -1, 3, 2).flip(0).flatten(0, 1)))
    sign = (_signed_area(halves1) * _signed_area(halves2)).sign()
    intersection = (sign * intersection_area(halves1, halves2)).view(4, -1).sum(dim=0).abs()
    base = areas1.abs() if mode == _IOF else areas1.abs() + areas2.abs() - intersection
    empty = (areas1.abs() < 1e-14) | (areas2.abs() < 1e-14)
    return torch.where(empty, 0.0, intersection / base.masked_fill(empty, 1)).to(first.dtype)


def _signed_area(corners: Tensor) -> Tensor:
    """``(P,)`` areas of ``(P, n, 2)`` polygons; the sign is the orientation."""
    return cross(corners, corners.roll(-1, 1)).sum(dim=1) / 2


def corners_of(boxes: Tensor) -> Tensor:
    """``(P, 4, 2)`` corners of ``(P, 5)`` boxes, in order."""
    cos, sin = boxes[:, 4].cos(), boxes[:, 4].sin()
    along = torch.stack((cos, sin), dim=1) * boxes[:, 2:3] / 2
    across = torch.stack((-sin, cos), dim=1) * boxes[:, 3:4] / 2
    signs = ((1, 1), (-1, 1), (-1, -1), (1, -1))
    return torch.stack([boxes[:, :2] + a * along + b * across for a, b in signs], dim=1)


def intersection_area(first: Tensor, second: Tensor) -> Tensor:
    """``(P,)`` intersection areas of convex polygons ``(P, n, 2)`` and ``(P, m, 2)``.

    The corners of the intersection are the crossings of edges and the corners of each polygon inside the other, sorted
    by angle around their mean.
    """
    edges1, edges2 = first.roll(-1, 1) - first, second.roll(-1, 1) - second
    # Crossings: first + t * edges1 = second + u * edges2, for all pairs of edges.
    between = second[:, None] - first[:, :, None]
    det = cross(edges1[:, :, None], edges2[:, None])
    parallel = det.abs() < 1e-14
    t = cross(between, edges2[:, None]) / det.masked_fill(parallel, 1)
    u = cross(between, edges1[:, :, None]) / det.masked_fill(parallel, 1)
    crossing = ~parallel & (t >= 0) & (t <= 1) & (u >= 0) & (u <= 1)
    points = torch.cat(((first[:, :, None] + t[..., None] * edges1[:, :, None]).flatten(1, 2), first, second), dim=1)
    valid = torch.cat((crossing.flatten(1), _inside(first, second), _inside(second, first)), dim=1)

    count = valid.sum(dim=1)
    center = (points * valid[..., None]).sum(dim=1, keepdim=True) / count.clamp(min=1)[:, None, None]
    relative = points - center
    angle = torch.atan2(relative[..., 1], relative[..., 0]).masked_fill(~valid, torch.inf)
    order = angle.argsort(dim=1)
    outline = relative.gather(1, order[..., None].expand_as(relative))
    # Entries after the last corner repeat the first corner, so that they add no area.
    is_padding = torch.arange(points.size(1), device=points.device) >= count[:, None]
    outline = torch.where(is_padding[..., None], outline[:, :1], outline)
    area = cross(outline, outline.roll(-1, 1)).sum(dim=1).abs() / 2
    return torch.where(count > 2, area, 0.0)


def _inside(points: Tensor, polygon: Tensor) -> Tensor:
    """``(P, n)`` mask of the ``(P, n, 2)`` points in or on the convex polygon ``(P, m, 2)``."""
    sides = polygon.roll(-1, 1) - polygon
    # The corners may be in either orientation.
    orientation = cross(polygon, polygon.roll(-1, 1)).sum(dim=1).sign()[:, None, None]
    distance = orientation * cross(sides[:, None], points[:, :, None] - polygon[:, None])
    return (distance >= -1e-9 * sides.square().sum(dim=2)[:, None]).all(dim=2)


def cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
