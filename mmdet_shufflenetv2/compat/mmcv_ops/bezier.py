"""Features aligned to a region between two Bezier curves, as text lines have it (Liu et al., ABCNet, CVPR 2020)."""

from __future__ import annotations

import torch
from torch import Tensor

from ._sampling import mean_samples, pool_regions, pool_regions_backward, samples_of_bins

__all__ = ['bezier_align_backward', 'bezier_align_forward']


def bezier_align_forward(input: Tensor, beziers: Tensor, output: Tensor, aligned_height: int, aligned_width: int,
                         spatial_scale: float, sampling_ratio: int, aligned: bool) -> None:
    """Average of samples around the points of a curved grid.

    Args:
        input: ``(N, C, H, W)`` features.
        beziers: ``(K, 17)``: image index, then x and y in pixels of the four control points of the upper curve from
            left to right and of the lower one from right to left.
        output: ``(K, C, aligned_height, aligned_width)``, filled.
        spatial_scale: Feature cells a pixel, ``1 / stride``.
        sampling_ratio: Samples a bin and axis; 0 for as many as there are cells.
        aligned: Shift by half a cell. Otherwise regions are at least one cell wide and high.

    Raises:
        ValueError: On a CPU, for a row of ``beziers`` that is not finite or names no image. On a GPU its output is NaN.
    """
    pool_regions(input, beziers, 17, output, lambda x, usable: _pool(
        x, usable, output.shape[2:], spatial_scale, sampling_ratio, aligned))


def bezier_align_backward(grad_output: Tensor, beziers: Tensor, grad_input: Tensor, aligned_height: int,
                          aligned_width: int, spatial_scale: float, sampling_ratio: int, aligned: bool) -> None:
    """The gradient of :func:`bezier_align_forward`, added to ``grad_input`` ``(N, C, H, W)``."""
    pool_regions_backward(grad_output, beziers, grad_input, lambda x, usable: _pool(
        x, usable, grad_output.shape[2:], spatial_scale, sampling_ratio, aligned))


def _pool(x: Tensor, beziers: Tensor, bins: tuple[int, int], spatial_scale: float, sampling_ratio: int,
          aligned: bool) -> Tensor:
    rows, columns = bins
    points = beziers[:, 1:].view(-1, 8, 2).flip(2) * spatial_scale  # y before x
    upper, lower = points[:, :4], points[:, 4:].flip(1)
    sides = torch.maximum((upper[:, 0] - upper[:, 3]).abs(), (lower[:, 0] - lower[:, 3]).abs())
    if not aligned:
        sides = sides.clamp(min=1)
    u = torch.arange(columns, device=x.device, dtype=x.dtype) / columns
    v = (torch.arange(rows, device=x.device, dtype=x.dtype) / rows)[:, None, None]
    bernstein = torch.stack(((1 - u)**3, 3 * u * (1 - u)**2, 3 * u**2 * (1 - u), u**3), dim=1)
    # (K, rows, columns, 2): a point for each bin, on the way from the upper to the lower curve.
    centre = (bernstein @ lower)[:, None] * v + (bernstein @ upper)[:, None] * (1 - v) - (0.5 if aligned else 0)
    count, bin_index, down, over = samples_of_bins(sides, (rows, columns), sampling_ratio)
    region = bin_index // (rows * columns)
    step = torch.stack(((down - 0.5) / rows, (over - 0.5) / columns), dim=1) * sides[region]
    y, z = (centre.reshape(-1, 2)[bin_index] + step).unbind(1)
    out = mean_samples(x, beziers[region, 0].long(), y, z, count)
    return out.view(len(beziers), rows, columns, x.size(1)).permute(0, 3, 1, 2)
