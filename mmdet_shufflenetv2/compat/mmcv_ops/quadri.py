"""Overlap and non-maximum suppression of boxes given by their four corners.

mmcv's kernel tests corners as if every box were a rectangle. For rectangles, turned or not, the results are the same.
For other quadrilaterals mmcv gives overlaps above 1 and below 0; here the area that both have in common is exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ._kernels import check_inputs, check_share
from .rotated import common_area, cross, fill_overlaps, greedy_nms

__all__ = ['box_iou_quadri', 'nms_quadri']

_IOF = 1


def box_iou_quadri(boxes1: Tensor, boxes2: Tensor, ious: Tensor, mode_flag: int, aligned: bool) -> None:
    """Overlap of quadrilaterals.

    Args:
        boxes1, boxes2: ``(N, 8)`` and ``(M, 8)``: x and y of the four corners in order around it, in pixels.
        ious: ``(N * M,)``, or ``(N,)`` with ``aligned``; filled.
        mode_flag: 0 intersection over union, 1 over the area of the first box.
        aligned: Compare the i-th box with the i-th only.
    """
    check_inputs(boxes1=boxes1, boxes2=boxes2)
    fill_overlaps(_overlap, boxes1, boxes2, ious, mode_flag, aligned)


def nms_quadri(dets: Tensor, scores: Tensor, order: Tensor, dets_sorted: Tensor, iou_threshold: float,
               multi_label: bool) -> Tensor:
    """Greedy non-maximum suppression of quadrilaterals.

    Args:
        dets: ``(N, 8)`` corners as in :func:`box_iou_quadri`; with ``multi_label`` a ninth column, the label.
        scores: ``(N,)``.
        order, dets_sorted: What the compiled operators of some devices want beside; not used.
        iou_threshold, multi_label: As in ``nms_rotated``.

    Returns:
        ``(K,)`` int64 indices of the kept boxes, best score first.
    """
    check_inputs(dets=dets, scores=scores)
    check_share(iou_threshold=iou_threshold)
    return greedy_nms(_overlap, 8, dets, scores, iou_threshold, multi_label)


def _overlap(first: Tensor, second: Tensor, mode: int) -> Tensor:
    """``(P,)`` overlaps of ``(P, 8)`` and ``(P, 8)`` boxes."""
    corners1, corners2 = (boxes.double().view(-1, 4, 2) for boxes in (first, second))
    # Around the middle of the pair, as rotated boxes are.
    middle = (corners1.mean(1, keepdim=True) + corners2.mean(1, keepdim=True)) / 2
    corners1, corners2 = corners1 - middle, corners2 - middle
    areas1, areas2 = (_signed_area(corners) for corners in (corners1, corners2))
    # A quadrilateral is its two triangles at the first corner, one of them less the other where it is not convex.
    halves1, halves2 = (torch.cat((corners[:, :3], corners[:, [0, 2, 3]])) for corners in (corners1, corners2))
    halves1, halves2 = halves1.repeat(2, 1, 1), torch.cat((halves2, halves2.view(2, -1, 3, 2).flip(0).flatten(0, 1)))
    sign = (_signed_area(halves1) * _signed_area(halves2)).sign()
    intersection = (sign * common_area(halves1, halves2)).view(4, -1).sum(dim=0).abs()
    base = areas1.abs() if mode == _IOF else areas1.abs() + areas2.abs() - intersection
    empty = (areas1.abs() < 1e-14) | (areas2.abs() < 1e-14)
    return torch.where(empty, 0.0, intersection / base.masked_fill(empty, 1)).to(first.dtype)


def _signed_area(corners: Tensor) -> Tensor:
    """``(P,)`` areas of ``(P, n, 2)`` polygons, negative for the other way round."""
    return cross(corners, corners.roll(-1, 1)).sum(dim=1) / 2
