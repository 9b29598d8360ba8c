"""Which points lie in which boxes or polygons."""

from __future__ import annotations

import torch
from torch import Tensor

from ._kernels import check_inputs

__all__ = [
    'points_in_boxes_all_forward', 'points_in_boxes_cpu_forward', 'points_in_boxes_part_forward',
    'points_in_polygons_forward'
]


def points_in_boxes_all_forward(boxes: Tensor, pts: Tensor, box_idx_of_points: Tensor) -> None:
    """All boxes of each point.

    Args:
        boxes: ``(B, T, 7)``: x, y, z of the middle of the bottom, size along x, y, z, and angle about z in radians.
        pts: ``(B, M, 3)``.
        box_idx_of_points: ``(B, M, T)`` int32, filled with 1 where the point is in the box. Top and bottom belong to
            a box, the other faces do not.
    """
    check_inputs(boxes=boxes, pts=pts)
    box_idx_of_points.copy_(_in_boxes(boxes, pts))


def points_in_boxes_cpu_forward(boxes: Tensor, pts: Tensor, pts_indices: Tensor) -> None:
    """:func:`points_in_boxes_all_forward` for one sample, box by box: ``pts_indices`` is ``(T, M)``."""
    check_inputs(boxes=boxes, pts=pts)
    pts_indices.copy_(_in_boxes(boxes[None], pts[None])[0].T)


def points_in_boxes_part_forward(boxes: Tensor, pts: Tensor, box_idx_of_points: Tensor) -> None:
    """The first box of each point, into ``box_idx_of_points`` ``(B, M)`` int32; left as it is for a point in none."""
    check_inputs(boxes=boxes, pts=pts)
    inside = _in_boxes(boxes, pts)
    if inside.size(2):
        first = inside.to(torch.uint8).argmax(dim=2).to(box_idx_of_points.dtype)
        box_idx_of_points.copy_(torch.where(inside.any(dim=2), first, box_idx_of_points))


def _in_boxes(boxes: Tensor, points: Tensor) -> Tensor:
    """``(B, M, T)``."""
    x, y, z = (points[:, :, None] - boxes[:, None, :, :3]).unbind(3)
    half = boxes[:, None, :, 3:6] / 2
    cos, sin = boxes[:, None, :, 6].cos(), boxes[:, None, :, 6].sin()
    along, across = x * cos + y * sin, y * cos - x * sin
    return (along.abs() < half[..., 0]) & (across.abs() < half[..., 1]) & ((z - half[..., 2]).abs() <= half[..., 2])


def points_in_polygons_forward(points: Tensor, polygons: Tensor, output: Tensor) -> None:
    """Which points lie in which quadrilaterals, by the parity of the edges to the right of the point.

    Args:
        points: ``(N, 2)`` x and y.
        polygons: ``(M, 8)`` x and y of four corners in order.
        output: ``(N, M)``, filled with 1 and 0; a point on the outline may be either.
    """
    check_inputs(points=points, polygons=polygons)
    start = polygons.view(1, -1, 4, 2)
    end = start.roll(1, 2)
    x, y = points[:, None, None, 0], points[:, None, None, 1]
    straddles = (start[..., 1] < y) != (end[..., 1] < y)
    rise = (end[..., 1] - start[..., 1]).masked_fill(~straddles, 1)
    crossing = start[..., 0] + (y - start[..., 1]) * (end[..., 0] - start[..., 0]) / rise
    output.copy_((straddles & (crossing > x)).sum(dim=2) % 2)
