"""3D points and boxes: overlap in bird's-eye view, points in boxes, and voxels."""

from __future__ import annotations

import torch
from torch import Tensor

from ._kernels import check_columns, check_inputs
from .rotated import corners_of, intersection_area

__all__ = [
    'dynamic_voxelize_forward',
    'hard_voxelize_forward',
    'iou3d_boxes_overlap_bev_forward',
    'iou3d_nms3d_forward',
    'iou3d_nms3d_normal_forward',
    'points_in_boxes_all_forward',
    'points_in_boxes_cpu_forward',
    'points_in_boxes_part_forward',
    'points_in_polygons_forward',
]


def iou3d_boxes_overlap_bev_forward(boxes_a: Tensor, boxes_b: Tensor, ans_overlap: Tensor) -> None:
    """Compute the intersection area of all pairs of boxes in bird's-eye view.

    Args:
        boxes_a, boxes_b: ``(M, 7)`` and ``(N, 7)``: center x, y, z, size along x, y, z, angle about z in radians.
        ans_overlap: ``(M, N)``, filled.
    """
    check_inputs(boxes_a=boxes_a, boxes_b=boxes_b)
    check_columns(7, boxes_a=boxes_a, boxes_b=boxes_b)
    for row, box in zip(ans_overlap, boxes_a):
        row.copy_(_intersection(box, boxes_b))


def iou3d_nms3d_forward(boxes: Tensor, keep: Tensor, keep_num: Tensor, nms_overlap_thresh: float) -> None:
    """Greedy non-maximum suppression of rotated boxes in bird's-eye view.

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
            common = _intersection(boxes[i], boxes[i + 1 :])
            dropped[i + 1 :] |= common / (areas[i] + areas[i + 1 :] - common).clamp(min=1e-8) > nms_overlap_thresh
    keep[: len(kept)] = torch.tensor(kept, dtype=keep.dtype, device=keep.device)
    keep_num.fill_(len(kept))


def iou3d_nms3d_normal_forward(boxes: Tensor, keep: Tensor, keep_num: Tensor, nms_overlap_thresh: float) -> None:
    """:func:`iou3d_nms3d_forward` with every angle set to 0."""
    axis_aligned = torch.cat((boxes[:, :6], torch.zeros_like(boxes[:, 6:])), dim=1)
    iou3d_nms3d_forward(axis_aligned, keep, keep_num, nms_overlap_thresh)


def _intersection(box: Tensor, boxes: Tensor) -> Tensor:
    """``(N,)`` intersection areas of a box ``(7,)`` with boxes ``(N, 7)``."""
    flat = boxes[:, [0, 1, 3, 4, 6]].double()
    one = box[[0, 1, 3, 4, 6]].double().expand_as(flat).clone()
    middle = (one[:, :2] + flat[:, :2]) / 2  # precision decreases with the distance from the origin
    one[:, :2] -= middle
    flat[:, :2] -= middle
    return intersection_area(corners_of(one), corners_of(flat)).to(boxes.dtype)


def points_in_boxes_all_forward(boxes: Tensor, pts: Tensor, box_idx_of_points: Tensor) -> None:
    """Find all boxes that contain each point.

    Args:
        boxes: ``(B, T, 7)``: x, y, z of the bottom center, size along x, y, z, and angle about z in radians.
        pts: ``(B, M, 3)``.
        box_idx_of_points: ``(B, M, T)`` int32, filled with 1 if the point is in the box. The top and bottom faces are
            part of the box, the other faces are not.
    """
    check_inputs(boxes=boxes, pts=pts)
    box_idx_of_points.copy_(_in_boxes(boxes, pts))


def points_in_boxes_cpu_forward(boxes: Tensor, pts: Tensor, pts_indices: Tensor) -> None:
    """:func:`points_in_boxes_all_forward` for one sample; ``pts_indices`` is ``(T, M)``."""
    check_inputs(boxes=boxes, pts=pts)
    pts_indices.copy_(_in_boxes(boxes[None], pts[None])[0].T)


def points_in_boxes_part_forward(boxes: Tensor, pts: Tensor, box_idx_of_points: Tensor) -> None:
    """Write the first box of each point into ``box_idx_of_points`` ``(B, M)`` int32; unchanged for points in no box."""
    check_inputs(boxes=boxes, pts=pts)
    inside = _in_boxes(boxes, pts)
    if inside.size(2):
        first = inside.to(torch.uint8).argmax(dim=2).to(box_idx_of_points.dtype)
        box_idx_of_points.copy_(torch.where(inside.any(dim=2), first, box_idx_of_points))


def _in_boxes(boxes: Tensor, points: Tensor) -> Tensor:
    """``(B, M, T)`` mask of the points in the boxes."""
    x, y, z = (points[:, :, None] - boxes[:, None, :, :3]).unbind(3)
    half = boxes[:, None, :, 3:6] / 2
    cos, sin = boxes[:, None, :, 6].cos(), boxes[:, None, :, 6].sin()
    along, across = x * cos + y * sin, y * cos - x * sin
    return (along.abs() < half[..., 0]) & (across.abs() < half[..., 1]) & ((z - half[..., 2]).abs() <= half[..., 2])


def points_in_polygons_forward(points: Tensor, polygons: Tensor, output: Tensor) -> None:
    """Test which points are in which quadrilaterals, by the parity of the edges to the right of the point.

    Args:
        points: ``(N, 2)`` x and y.
        polygons: ``(M, 8)`` x and y of four corners in order.
        output: ``(N, M)``, filled with 1 inside and 0 outside; a point on the outline may have either.
    """
    check_inputs(points=points, polygons=polygons)
    start = polygons.view(1, -1, 4, 2)
    end = start.roll(1, 2)
    x, y = points[:, None, None, 0], points[:, None, None, 1]
    straddles = (start[..., 1] < y) != (end[..., 1] < y)
    rise = (end[..., 1] - start[..., 1]).masked_fill(~straddles, 1)
    crossing = start[..., 0] + (y - start[..., 1]) * (end[..., 0] - start[..., 0]) / rise
    output.copy_((straddles & (crossing > x)).sum(dim=2) % 2)


def dynamic_voxelize_forward(
    points: Tensor, voxel_size: Tensor, coors_range: Tensor, coors: Tensor, **unused: int
) -> None:
    """Compute the voxel of each point.

    Args:
        points: ``(N, 3)`` or more columns: x, y, z and features.
        voxel_size: ``(3,)`` along x, y, z.
        coors_range: ``(6,)``: minimum x, y, z, then maximum x, y, z.
        coors: ``(N, 3)`` int32, filled with z, y, x of the voxel, or -1 for a point out of range.
    """
    check_inputs(points=points)
    coors.copy_(_voxel_of(points, voxel_size, coors_range)[0])


def hard_voxelize_forward(
    points: Tensor,
    voxel_size: Tensor,
    coors_range: Tensor,
    voxels: Tensor,
    coors: Tensor,
    num_points_per_voxel: Tensor,
    voxel_num: Tensor,
    max_points: int,
    max_voxels: int,
    **unused: int,
) -> None:
    """Group points into voxels, in the order of the first point of each; the result is always deterministic.

    Args:
        points, voxel_size, coors_range: As in :func:`dynamic_voxelize_forward`.
        voxels: ``(max_voxels, max_points, columns)``; the first ``voxel_num`` are filled.
        coors: ``(max_voxels, 3)`` int32, filled with z, y, x.
        num_points_per_voxel: ``(max_voxels,)`` int32, filled.
        voxel_num: ``()`` int64, filled.
        max_points, max_voxels: Later points and voxels are dropped.
    """
    check_inputs(points=points)
    coordinates, grid = _voxel_of(points, voxel_size, coors_range)
    inside = coordinates[:, 0] >= 0
    points, coordinates = points[inside], coordinates[inside]
    number = (coordinates[:, 0] * grid[1] + coordinates[:, 1]) * grid[0] + coordinates[:, 2]
    _, voxel = torch.unique(number, return_inverse=True)
    order = torch.arange(len(points), device=points.device)
    first = torch.full((int(voxel.max()) + 1 if len(points) else 0,), len(points), device=points.device)
    first = first.scatter_reduce(0, voxel, order, 'amin')
    rank = torch.empty_like(first)
    rank[first.argsort()] = torch.arange(len(first), device=points.device)
    voxel = rank[voxel]
    # Number of earlier points in the same voxel.
    by_voxel = voxel.sort(stable=True)
    count = torch.bincount(voxel, minlength=len(first))
    before = torch.empty_like(order)
    before[by_voxel.indices] = order - (count.cumsum(0) - count)[by_voxel.values]
    keep = (voxel < max_voxels) & (before < max_points)
    voxels[voxel[keep], before[keep]] = points[keep]
    coors[voxel[keep]] = coordinates[keep].to(coors.dtype)
    kept = min(len(first), max_voxels)
    num_points_per_voxel[:kept] = count[:kept].clamp(max=max_points).to(num_points_per_voxel.dtype)
    voxel_num.fill_(kept)


def _voxel_of(points: Tensor, voxel_size: Tensor, coors_range: Tensor) -> tuple[Tensor, Tensor]:
    """``(N, 3)`` int64 z, y, x, or -1 for points out of range; and the ``(3,)`` numbers of voxels along x, y, z."""
    low, high = coors_range.to(points.device).view(2, 3)
    size = voxel_size.to(points.device)
    grid = ((high - low) / size + 0.5).floor()
    index = ((points[:, :3] - low) / size).floor()
    inside = ((index >= 0) & (index < grid)).all(dim=1, keepdim=True)
    return index.masked_fill(~inside, -1).flip(1).long(), grid.long()
