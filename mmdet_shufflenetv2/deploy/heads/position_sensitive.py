"""Position-sensitive RoI align out of operators that every runtime has; ONNX has none for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...compat.private import shape_as_tensor

__all__ = ['ps_roi_align']


def ps_roi_align(
    feature: Tensor, rois: Tensor, output_size: int | tuple[int, int], spatial_scale: float, sampling_ratio: int
) -> Tensor:
    """What ``torchvision.ops.ps_roi_align`` computes for one image, by gathering samples.

    Args:
        feature: ``(1, C * bins, H, W)``, where bins is ``output_size`` squared.
        rois: ``(K, 5)``: 0, then x1, y1, x2, y2 in pixels of the image.
        output_size: Bins on each side, the same on both.
        spatial_scale: Cells a pixel.
        sampling_ratio: Samples on each side of a bin; at least 1.

    Returns:
        ``(K, C, size, size)``.
    """
    size = output_size if isinstance(output_size, int) else output_size[0]
    bins, samples = size * size, sampling_ratio
    height, width = shape_as_tensor(feature)[-2:]
    x1, y1, x2, y2 = (rois[:, i] * spatial_scale - 0.5 for i in range(1, 5))
    x = _places(x1, x2, size, samples)
    y = _places(y1, y2, size, samples)

    # (bins * H * W, C): a row is what one bin's channels show at one place.
    channels = feature.shape[1] // bins
    table = feature.reshape(channels, bins, -1).permute(1, 2, 0).reshape(-1, channels)
    first_row = torch.arange(bins, device=feature.device).view(1, size, size, 1, 1) * (height * width)
    total: Any = 0
    for row, row_weight in _corners(y, height):
        for column, column_weight in _corners(x, width):
            # (K, size, size, samples, samples): bin row, bin column, sample row, sample column.
            place = first_row + row[:, :, None, :, None] * width + column[:, None, :, None, :]
            weight = row_weight[:, :, None, :, None] * column_weight[:, None, :, None, :]
            total = (
                total
                + table.index_select(0, place.flatten()).view(-1, size, size, samples * samples, channels)
                * weight.flatten(3)[..., None]
            )
    return total.mean(dim=3).permute(0, 3, 1, 2)


def _places(start: Tensor, end: Tensor, size: int, samples: int) -> Tensor:
    """Sample places along one axis, ``(K, size, samples)``, in cells."""
    length = (end - start) / size
    steps = (torch.arange(size * samples, device=start.device, dtype=start.dtype) + 0.5) / samples
    return (start[:, None] + steps * length[:, None]).view(-1, size, samples)


def _corners(place: Tensor, cells: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The two cells beside each place and their bilinear weights; places more than a cell outside weigh nothing."""
    inside = ((place >= -1) & (place <= cells)).to(place.dtype)
    place = place.clamp(min=0).minimum((cells - 1).to(place.dtype))
    low = place.floor()
    fraction = place - low
    high = (low + 1).minimum((cells - 1).to(place.dtype))
    return [(low.long(), (1 - fraction) * inside), (high.long(), fraction * inside)]
