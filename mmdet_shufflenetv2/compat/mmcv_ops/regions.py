"""Features aligned to rotated boxes, and to regions between two curves."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ._kernels import check_inputs, to_kernel_dtype
from ._sampling import add_feature_gradient, mean_samples, pool_regions, pool_regions_backward, samples_of_bins

__all__ = [
    'bezier_align_backward',
    'bezier_align_forward',
    'riroi_align_rotated_backward',
    'riroi_align_rotated_forward',
    'roi_align_rotated_backward',
    'roi_align_rotated_forward',
    'rotated_feature_align_backward',
    'rotated_feature_align_forward',
]


def roi_align_rotated_forward(input: Tensor, rois: Tensor, output: Tensor, **settings: float) -> None:
    """RoIAlign of rotated boxes (Ma et al., Arbitrary-Oriented Scene Text Detection via Rotation Proposals, 2018).

    Args:
        input: ``(N, C, H, W)`` features.
        rois: ``(K, 6)``: image index, center x, y, width, height in pixels of the image, angle in radians.
        output: ``(K, C, pooled_height, pooled_width)``, filled.
        settings: ``pooled_height``, ``pooled_width`` and the keyword arguments of :func:`_pool_rotated`.

    Raises:
        ValueError: On a CPU, if a row of ``rois`` is not finite or has an invalid image index. On a GPU its output is
            NaN.
    """
    pool_regions(input, rois, 6, output, _pool_rotated, **settings)


def roi_align_rotated_backward(top_grad: Tensor, rois: Tensor, bottom_grad: Tensor, **settings: float) -> None:
    """Add the gradient of :func:`roi_align_rotated_forward` to ``bottom_grad`` ``(N, C, H, W)``."""
    pool_regions_backward(top_grad, rois, bottom_grad, _pool_rotated, **settings)


def _pool_rotated(
    x: Tensor,
    rois: Tensor,
    bins: tuple[int, int],
    *,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
    clockwise: bool,
    **sizes: int,
) -> Tensor:
    """RoIAlign of rotated boxes.

    Args:
        spatial_scale: Feature cells per pixel, ``1 / stride``.
        sampling_ratio: Samples per bin and axis; 0 for the number of cells in the bin.
        aligned: Shift by half a cell. Otherwise boxes are at least one cell wide and high.
        clockwise: Whether positive angles are clockwise in the image.
    """
    rows, columns = bins
    center = rois[:, [2, 1]] * spatial_scale - (0.5 if aligned else 0)
    size = rois[:, [4, 3]] * spatial_scale
    if not aligned:
        size = size.clamp(min=1)
    count, bin_index, down, over = samples_of_bins(size, bins, sampling_ratio)
    region, index = bin_index // (rows * columns), bin_index % (rows * columns)
    height, width = size[region].unbind(1)
    y = ((index // columns + down) / rows - 0.5) * height
    z = ((index % columns + over) / columns - 0.5) * width
    angle = rois[region, 5] * (-1 if clockwise else 1)
    cos, sin = angle.cos(), angle.sin()
    out = mean_samples(
        x, rois[region, 0].long(), y * cos - z * sin + center[region, 0], y * sin + z * cos + center[region, 1], count
    )
    return out.view(len(rois), rows, columns, x.size(1)).permute(0, 3, 1, 2)


def riroi_align_rotated_forward(features: Tensor, rois: Tensor, output: Tensor, **settings: float) -> None:
    """RoIAlign that also shifts orientation channels by the box angle (Han et al., ReDet, CVPR 2021, section 3.3).

    Args:
        features: ``(N, C * num_orientations, H, W)``; each feature has one channel per orientation.
        rois, output: As in :func:`roi_align_rotated_forward`; boxes are at least one cell wide and high.
        settings: As there, but ``num_samples`` for ``sampling_ratio``, ``num_orientations``, and no ``aligned``.
    """
    pool_regions(features, rois, 6, output, _pool_oriented, **settings)


def riroi_align_rotated_backward(top_grad: Tensor, rois: Tensor, bottom_grad: Tensor, **settings: float) -> None:
    """Add the gradient of :func:`riroi_align_rotated_forward` to ``bottom_grad``."""
    pool_regions_backward(top_grad, rois, bottom_grad, _pool_oriented, **settings)


def _pool_oriented(
    x: Tensor, rois: Tensor, bins: tuple[int, int], *, num_samples: int, num_orientations: int, **settings: Any
) -> Tensor:
    pooled = _pool_rotated(x, rois, bins, sampling_ratio=num_samples, aligned=False, **settings)
    # Shift the orientations by the angle of the box, with linear interpolation.
    steps = rois[:, 5] * num_orientations / (2 * math.pi)
    integer = steps.floor()
    fraction = (steps - integer)[:, None, None, None, None]
    parts = torch.unflatten(pooled, 1, (-1, num_orientations))
    first = (torch.arange(num_orientations, device=pooled.device) - integer.long()[:, None]) % num_orientations

    def at(index: Tensor) -> Tensor:
        return parts.gather(2, index[:, None, :, None, None].expand_as(parts))

    return ((1 - fraction) * at(first) + fraction * at((first + 1) % num_orientations)).flatten(1, 2)


def rotated_feature_align_forward(
    features: Tensor, best_bboxes: Tensor, output: Tensor, spatial_scale: float, points: int
) -> None:
    """Add features sampled at points of the predicted box of each cell (Yang et al., R3Det, AAAI 2021).

    Args:
        features: ``(N, C, H, W)``.
        best_bboxes: ``(N, H, W, 5)``: center y, x, width, height in pixels of the image, angle in radians.
        output: ``(N, C, H, W)``, filled.
        spatial_scale: Feature cells per pixel, ``1 / stride``.
        points: 1 for the center, 5 for the center and the four corners.
    """
    check_inputs(features=features, best_bboxes=best_bboxes)
    output.copy_(_refine(to_kernel_dtype(features), best_bboxes, spatial_scale, points))


def rotated_feature_align_backward(
    top_grad: Tensor, best_bboxes: Tensor, bottom_grad: Tensor, spatial_scale: float, points: int
) -> None:
    """Add the gradient of :func:`rotated_feature_align_forward` to ``bottom_grad`` ``(N, C, H, W)``."""
    add_feature_gradient(
        lambda x: _refine(x, best_bboxes, spatial_scale, points), to_kernel_dtype(top_grad), bottom_grad
    )


def _refine(x: Tensor, boxes: Tensor, spatial_scale: float, points: int) -> Tensor:
    n, c, height, width = x.shape
    boxes = boxes.to(x.dtype).reshape(-1, 5)
    center, half = boxes[:, None, :2] * spatial_scale, boxes[:, None, 2:4] * spatial_scale / 2
    signs = x.new_tensor([(0, 0), (1, 1), (-1, 1), (-1, -1), (1, -1)][:points])
    along, across = (signs * half).unbind(2)
    cos, sin = boxes[:, 4:].cos(), boxes[:, 4:].sin()
    y, z = center[..., 0] + along * sin + across * cos, center[..., 1] + along * cos - across * sin
    image = torch.arange(n, device=x.device).repeat_interleave(height * width * points)
    count = torch.full((len(boxes),), points, device=x.device)
    sampled = points * mean_samples(x, image, y.flatten(), z.flatten(), count)
    return x + sampled.view(n, height, width, c).permute(0, 3, 1, 2)


def bezier_align_forward(input: Tensor, beziers: Tensor, output: Tensor, **settings: float) -> None:
    """Average samples around the points of a grid between two Bezier curves (Liu et al., ABCNet, CVPR 2020).

    Args:
        input: ``(N, C, H, W)`` features.
        beziers: ``(K, 17)``: image index, then x and y in pixels of the four control points of the upper curve from
            left to right and of the lower one from right to left.
        output: ``(K, C, aligned_height, aligned_width)``, filled.
        settings: ``aligned_height``, ``aligned_width``; ``spatial_scale``, ``sampling_ratio`` and ``aligned`` as in
            :func:`roi_align_rotated_forward`.

    Raises:
        ValueError: As in :func:`roi_align_rotated_forward`.
    """
    pool_regions(input, beziers, 17, output, _pool_curved, **settings)


def bezier_align_backward(grad_output: Tensor, beziers: Tensor, grad_input: Tensor, **settings: float) -> None:
    """Add the gradient of :func:`bezier_align_forward` to ``grad_input`` ``(N, C, H, W)``."""
    pool_regions_backward(grad_output, beziers, grad_input, _pool_curved, **settings)


def _pool_curved(
    x: Tensor,
    beziers: Tensor,
    bins: tuple[int, int],
    *,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
    **sizes: int,
) -> Tensor:
    rows, columns = bins
    points = beziers[:, 1:].view(-1, 8, 2).flip(2) * spatial_scale  # y before x
    upper, lower = points[:, :4], points[:, 4:].flip(1)
    sides = torch.maximum((upper[:, 0] - upper[:, 3]).abs(), (lower[:, 0] - lower[:, 3]).abs())
    if not aligned:
        sides = sides.clamp(min=1)
    u = torch.arange(columns, device=x.device, dtype=x.dtype) / columns
    v = (torch.arange(rows, device=x.device, dtype=x.dtype) / rows)[:, None, None]
    bernstein = torch.stack(((1 - u) ** 3, 3 * u * (1 - u) ** 2, 3 * u**2 * (1 - u), u**3), dim=1)
    # (K, rows, columns, 2): one point per bin, between the upper and the lower curve.
    center = (bernstein @ lower)[:, None] * v + (bernstein @ upper)[:, None] * (1 - v) - (0.5 if aligned else 0)
    count, bin_index, down, over = samples_of_bins(sides, bins, sampling_ratio)
    region = bin_index // (rows * columns)
    step = torch.stack(((down - 0.5) / rows, (over - 0.5) / columns), dim=1) * sides[region]
    y, z = (center.reshape(-1, 2)[bin_index] + step).unbind(1)
    out = mean_samples(x, beziers[region, 0].long(), y, z, count)
    return out.view(len(beziers), rows, columns, x.size(1)).permute(0, 3, 1, 2)
