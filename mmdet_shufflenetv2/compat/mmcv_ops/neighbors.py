"""Neighbors in point sets, and their features (Qi et al., PointNet++, NeurIPS 2017).

mmcv also passes the sizes of the tensors (``b``, ``c``, ``n``, ``m``, ...), which are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ._kernels import check_inputs

__all__ = [
    'ball_query_forward',
    'furthest_point_sampling_forward',
    'furthest_point_sampling_with_dist_forward',
    'gather_points_backward',
    'gather_points_forward',
    'group_points_backward',
    'group_points_forward',
    'knn_forward',
    'three_interpolate_backward',
    'three_interpolate_forward',
    'three_nn_forward',
]

# Number of distances computed at once.
_PAIRS_AT_ONCE = 1 << 24


def knn_forward(xyz: Tensor, new_xyz: Tensor, idx: Tensor, dist2: Tensor, nsample: int, **sizes: int) -> None:
    """Find the nearest points, in order of distance.

    Args:
        xyz: ``(B, N, 3)`` points.
        new_xyz: ``(B, M, 3)`` centers.
        idx: ``(B, M, nsample)`` int32, filled with the indices of the points; with fewer points the rest is unchanged.
        dist2: ``(B, M, nsample)``, filled with the squared distances.
    """
    check_inputs(xyz=xyz, new_xyz=new_xyz)
    k = min(nsample, xyz.size(1))
    for part, squared in _distances(new_xyz, xyz):
        nearest = squared.topk(k, dim=2, largest=False)
        idx[:, part, :k], dist2[:, part, :k] = nearest.indices.to(idx.dtype), nearest.values.to(dist2.dtype)


def three_nn_forward(unknown: Tensor, known: Tensor, dist2: Tensor, idx: Tensor, **sizes: int) -> None:
    """Find the three points of ``known`` ``(B, M, 3)`` nearest to each of ``unknown`` ``(B, N, 3)``.

    Squared distances and indices are ``(B, N, 3)``. With fewer points the rest has index 0 and an infinite distance.
    """
    dist2.fill_(torch.inf)
    idx.zero_()
    knn_forward(known, unknown, idx, dist2, nsample=3)


def ball_query_forward(
    new_xyz: Tensor, xyz: Tensor, idx: Tensor, min_radius: float, max_radius: float, nsample: int, **sizes: int
) -> None:
    """Find the first points within a range of distances from each center; a point at the center counts.

    Args:
        new_xyz: ``(B, M, 3)`` centers.
        xyz: ``(B, N, 3)`` points.
        idx: ``(B, M, nsample)`` int32, filled with indices. With too few points the first index is repeated; with none
            the row is unchanged.
        min_radius, max_radius: Smallest distance (inclusive) and largest distance (exclusive).
    """
    check_inputs(new_xyz=new_xyz, xyz=xyz)
    count = xyz.size(1)
    k = min(nsample, count)
    if k == 0:
        return
    for part, squared in _distances(new_xyz, xyz):
        within = (squared == 0) | ((squared >= min_radius**2) & (squared < max_radius**2))
        number = torch.arange(count, device=xyz.device).expand_as(within).masked_fill(~within, count)
        found = number.topk(k, dim=2, largest=False, sorted=True).values
        first = found[:, :, :1]
        out = first.expand(-1, -1, nsample).clone()
        out[:, :, :k] = torch.where(found < count, found, first)
        idx[:, part] = torch.where(first < count, out, idx[:, part]).to(idx.dtype)


def _distances(centers: Tensor, points: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of the centers and their ``(B, centers, N)`` squared distances, summed as in compiled mmcv."""
    step = max(1, _PAIRS_AT_ONCE // max(1, points[..., 0].numel()))
    for start in range(0, centers.size(1), step):
        part = slice(start, start + step)
        x, y, z = ((centers[:, part, None, axis] - points[:, None, :, axis]).square() for axis in range(3))
        yield part, x + y + z


def furthest_point_sampling_forward(
    points_tensor: Tensor, temp_tensor: Tensor, idx_tensor: Tensor, **sizes: int
) -> None:
    """Furthest point sampling: the first point, then repeatedly the point furthest from all sampled points.

    Args:
        points_tensor: ``(B, N, 3)``.
        temp_tensor: ``(B, N)`` squared distances to the nearest sampled point, initially large; filled.
        idx_tensor: ``(B, m)`` int32, filled.
    """

    def distance_to(last: Tensor) -> Tensor:
        sampled = points_tensor.gather(1, last[:, None, None].expand(-1, 1, 3))
        return (points_tensor - sampled).square().sum(dim=2)

    _sample_furthest(distance_to, temp_tensor, idx_tensor)


def furthest_point_sampling_with_dist_forward(
    points_tensor: Tensor, temp_tensor: Tensor, idx_tensor: Tensor, **sizes: int
) -> None:
    """:func:`furthest_point_sampling_forward` with distances ``(B, N, N)`` instead of points."""
    _sample_furthest(
        lambda last: points_tensor.gather(1, last[:, None, None].expand(-1, 1, points_tensor.size(2)))[:, 0],
        temp_tensor,
        idx_tensor,
    )


def _sample_furthest(distance_to: Callable[[Tensor], Tensor], nearest: Tensor, idx: Tensor) -> None:
    last = torch.zeros(len(idx), dtype=torch.long, device=idx.device)
    for i in range(idx.size(1)):
        if i:
            nearest.copy_(torch.minimum(nearest, distance_to(last).to(nearest.dtype)))
            last = nearest.argmax(dim=1)
        idx[:, i] = last.to(idx.dtype)


def gather_points_forward(points_tensor: Tensor, idx_tensor: Tensor, out_tensor: Tensor, **sizes: int) -> None:
    """Gather features ``(B, C, N)`` at indices ``(B, M)`` into ``out_tensor`` ``(B, C, M)``."""
    out_tensor.copy_(points_tensor.gather(2, idx_tensor.long()[:, None].expand(-1, points_tensor.size(1), -1)))


def gather_points_backward(
    grad_out_tensor: Tensor, idx_tensor: Tensor, grad_points_tensor: Tensor, **sizes: int
) -> None:
    """Add the gradient of :func:`gather_points_forward` to ``grad_points_tensor`` ``(B, C, N)``."""
    grad_points_tensor.scatter_add_(2, idx_tensor.long()[:, None].expand_as(grad_out_tensor), grad_out_tensor)


def group_points_forward(points_tensor: Tensor, idx_tensor: Tensor, out_tensor: Tensor, **sizes: int) -> None:
    """Gather features ``(B, C, N)`` at indices ``(B, M, nsample)`` into ``out_tensor`` ``(B, C, M, nsample)``."""
    gather_points_forward(points_tensor, idx_tensor.flatten(1), out_tensor.flatten(2))


def group_points_backward(
    grad_out_tensor: Tensor, idx_tensor: Tensor, grad_points_tensor: Tensor, **sizes: int
) -> None:
    """Add the gradient of :func:`group_points_forward` to ``grad_points_tensor`` ``(B, C, N)``."""
    gather_points_backward(grad_out_tensor.flatten(2), idx_tensor.flatten(1), grad_points_tensor)


def three_interpolate_forward(
    points_tensor: Tensor, idx_tensor: Tensor, weight_tensor: Tensor, out_tensor: Tensor, **sizes: int
) -> None:
    """Write weighted sums of the features ``(B, C, M)`` of three points each into ``out_tensor`` ``(B, C, N)``.

    Args:
        idx_tensor, weight_tensor: ``(B, N, 3)``.
    """
    index = idx_tensor.long().flatten(1)[:, None].expand(-1, points_tensor.size(1), -1)
    out_tensor.copy_((points_tensor.gather(2, index).view(*out_tensor.shape, 3) * weight_tensor[:, None]).sum(dim=3))


def three_interpolate_backward(
    grad_out_tensor: Tensor, idx_tensor: Tensor, weight_tensor: Tensor, grad_points_tensor: Tensor, **sizes: int
) -> None:
    """Add the gradient of :func:`three_interpolate_forward` to ``grad_points_tensor`` ``(B, C, M)``."""
    shares = (grad_out_tensor[..., None] * weight_tensor[:, None]).flatten(2)
    gather_points_backward(shares, idx_tensor.flatten(1), grad_points_tensor)
