"""Points sorted into voxels."""

from __future__ import annotations

import torch
from torch import Tensor

from ._kernels import check_inputs

__all__ = ['dynamic_voxelize_forward', 'hard_voxelize_forward']


def dynamic_voxelize_forward(points: Tensor, voxel_size: Tensor, coors_range: Tensor, coors: Tensor,
                             NDim: int = 3) -> None:
    """The voxel of each point.

    Args:
        points: ``(N, 3)`` or more columns: x, y, z and features.
        voxel_size: ``(3,)`` along x, y, z.
        coors_range: ``(6,)``: least x, y, z and greatest.
        coors: ``(N, 3)`` int32, filled with z, y, x of the voxel, or -1 for a point out of range.
    """
    check_inputs(points=points)
    coors.copy_(_voxel_of(points, voxel_size, coors_range)[0])


def hard_voxelize_forward(points: Tensor, voxel_size: Tensor, coors_range: Tensor, voxels: Tensor, coors: Tensor,
                          num_points_per_voxel: Tensor, voxel_num: Tensor, max_points: int, max_voxels: int,
                          NDim: int = 3, deterministic: bool = True) -> None:
    """Voxels in the order of their first point, with their first points.

    Args:
        points, voxel_size, coors_range: As in :func:`dynamic_voxelize_forward`.
        voxels: ``(max_voxels, max_points, columns)``; the first ``voxel_num`` are filled.
        coors: ``(max_voxels, 3)`` int32, filled with z, y, x.
        num_points_per_voxel: ``(max_voxels,)`` int32, filled.
        voxel_num: ``()`` int64, filled.
        max_points, max_voxels: What comes later is left out.
        deterministic: The order is always that of the points; not used.
    """
    check_inputs(points=points)
    place, grid = _voxel_of(points, voxel_size, coors_range)
    inside = place[:, 0] >= 0
    points, place = points[inside], place[inside]
    number = (place[:, 0] * grid[1] + place[:, 1]) * grid[0] + place[:, 2]
    _, voxel = number.unique(return_inverse=True)
    order = torch.arange(len(points), device=points.device)
    first = torch.full((int(voxel.max()) + 1 if len(points) else 0, ), len(points), device=points.device)
    first = first.scatter_reduce(0, voxel, order, 'amin')
    rank = torch.empty_like(first)
    rank[first.argsort()] = torch.arange(len(first), device=points.device)
    voxel = rank[voxel]
    # How many points of the same voxel came before.
    by_voxel = voxel.sort(stable=True)
    count = torch.bincount(voxel, minlength=len(first))
    before = torch.empty_like(order)
    before[by_voxel.indices] = order - (count.cumsum(0) - count)[by_voxel.values]
    taken = (voxel < max_voxels) & (before < max_points)
    voxels[voxel[taken], before[taken]] = points[taken]
    coors[voxel[taken]] = place[taken].to(coors.dtype)
    kept = min(len(first), max_voxels)
    num_points_per_voxel[:kept] = count[:kept].clamp(max=max_points).to(num_points_per_voxel.dtype)
    voxel_num.fill_(kept)


def _voxel_of(points: Tensor, voxel_size: Tensor, coors_range: Tensor) -> tuple[Tensor, Tensor]:
    """``(N, 3)`` int64 z, y, x, -1 for points out of range; and the ``(3,)`` numbers of voxels along x, y, z."""
    low, high = coors_range.to(points.device).view(2, 3)
    size = voxel_size.to(points.device)
    grid = ((high - low) / size + 0.5).floor()
    place = ((points[:, :3] - low) / size).floor()
    inside = ((place >= 0) & (place < grid)).all(dim=1, keepdim=True)
    return place.masked_fill(~inside, -1).flip(1).long(), grid.long()
