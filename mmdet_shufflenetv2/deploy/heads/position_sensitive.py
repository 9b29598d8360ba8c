"""Position-sensitive RoI align, written with basic operators because ONNX has no operator for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...compat.private import shape_as_tensor

__all__ = ['ps_roi_align']


def ps_roi_align(
    feature: Tensor, rois: Tensor, output_size: int | tuple[int, int], spatial_scale: float, sampling_ratio: int
) -> Tensor:
    """``torchvision.ops.ps_roi_align`` for one image, computed by gathering samples.

    Args:
        feature: ``(1, C * bins, H, W)``, where bins is ``output_size`` squared.
        rois: ``(K, 5)``: 0, then x1, y1, x2, y2 in pixels of the image.
        output_size: Bins per side, the same for both sides.
        spatial_scale: Feature cells per image pixel.
        sampling_ratio: Samples per side of a bin, at least 1.

    Returns:
        ``(K, C, size, size)``.
    """
    size = output_size if isinstance(output_size, int) else output_size[0]
    bins, samples = size * size, sampling_ratio
    height, width = shape_as_tensor(feature)[-2:]
    x1, y1, x2, y2 = (rois[:, i] * spatial_scale - 0.5 for i in range(1, 5))
    x = _sample_positions(x1, x2, size, samples)
    y = _sample_positions(y1, y2, size, samples)

    # (bins * H * W, C): a row has the channels of one bin at one cell.
    channels = feature.shape[1] // bins
    table = feature.reshape(channels, bins, -1).permute(1, 2, 0).reshape(-1, channels)
    first_row = torch.arange(bins, device=feature.device).view(1, size, size, 1, 1) * (height * width)
    total: Any = 0
    for row, row_weight in _corners(y, height):
        for column, column_weight in _corners(x, width):
            # (K, size, size, samples, samples): bin row, bin column, sample row, sample column.
            index = first_row + row[:, :, None, :, None] * width + column[:, None, :, None, :]
            weight = row_weight[:, :, None, :, None] * column_weight[:, None, :, None, :]
            total = (
                total
                + table.index_select(0, index.flatten()).view(-1, size, size, samples * samples, channels)
                * weight.flatten(3)[..., None]
            )
    return total.mean(dim=3).permute(0, 3, 1, 2)


def _sample_positions(start: Tensor, end: Tensor, size: int, samples: int) -> Tensor:
    """Positions of the samples along one axis, ``(K, size, samples)``, in cells."""
    length = (end - start) / size
    steps = (torch.arange(size * samples, device=start.device, dtype=start.dtype) + 0.5) / samples
    return (start[:, None] + steps * length[:, None]).view(-1, size, samples)


def _corners(position: Tensor, cells: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The two cells around each position and their bilinear weights, 0 if it is more than one cell outside."""
    inside = ((position >= -1) & (position <= cells)).to(position.dtype)
    position = position.clamp(min=0).minimum((cells - 1).to(position.dtype))
    low = position.floor()
    fraction = position - low
    high = (low + 1).minimum((cells - 1).to(position.dtype))
    return [(low.long(), (1 - fraction) * inside), (high.long(), fraction * inside)]
