"""Features aligned to rotated boxes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ._kernels import check_inputs, computable
from ._sampling import (
    gradient_to_features,
    mean_samples,
    pool_regions,
    pool_regions_backward,
    samples_of_bins,
)

__all__ = [
    'riroi_align_rotated_backward', 'riroi_align_rotated_forward', 'roi_align_rotated_backward',
    'roi_align_rotated_forward', 'rotated_feature_align_backward', 'rotated_feature_align_forward'
]


def roi_align_rotated_forward(input: Tensor, rois: Tensor, output: Tensor, pooled_height: int, pooled_width: int,
                              spatial_scale: float, sampling_ratio: int, aligned: bool, clockwise: bool) -> None:
    """RoIAlign of rotated boxes (Ma et al., Arbitrary-Oriented Scene Text Detection via Rotation Proposals, 2018).

    Args:
        input: ``(N, C, H, W)`` features.
        rois: ``(K, 6)``: image index, centre x, y, width, height in pixels of the image, angle in radians.
        output: ``(K, C, pooled_height, pooled_width)``, filled.
        spatial_scale: Feature cells a pixel, ``1 / stride``.
        sampling_ratio: Samples a bin and axis; 0 for as many as there are cells.
        aligned: Shift by half a cell. Otherwise boxes are at least one cell wide and high.
        clockwise: The direction of positive angles in the image; False for counterclockwise.

    Raises:
        ValueError: On a CPU, for a row of ``rois`` that is not finite or names no image. On a GPU its output is NaN.
    """
    pool_regions(input, rois, 6, output, lambda x, usable: _pool(
        x, usable, output.shape[2:], spatial_scale, sampling_ratio, aligned, clockwise))


def roi_align_rotated_backward(top_grad: Tensor, rois: Tensor, bottom_grad: Tensor, pooled_height: int,
                               pooled_width: int, spatial_scale: float, sampling_ratio: int, aligned: bool,
                               clockwise: bool) -> None:
    """The gradient of :func:`roi_align_rotated_forward`, added to ``bottom_grad`` ``(N, C, H, W)``."""
    pool_regions_backward(top_grad, rois, bottom_grad, lambda x, usable: _pool(
        x, usable, top_grad.shape[2:], spatial_scale, sampling_ratio, aligned, clockwise))


def _pool(x: Tensor, rois: Tensor, bins: tuple[int, int], spatial_scale: float, sampling_ratio: int, aligned: bool,
          clockwise: bool) -> Tensor:
    rows, columns = bins
    centre = rois[:, [2, 1]] * spatial_scale - (0.5 if aligned else 0)
    size = rois[:, [4, 3]] * spatial_scale
    if not aligned:
        size = size.clamp(min=1)
    count, bin_index, down, over = samples_of_bins(size, (rows, columns), sampling_ratio)
    region, place = bin_index // (rows * columns), bin_index % (rows * columns)
    height, width = size[region].unbind(1)
    y = ((place // columns + down) / rows - 0.5) * height
    z = ((place % columns + over) / columns - 0.5) * width
    angle = rois[region, 5] * (-1 if clockwise else 1)
    cos, sin = angle.cos(), angle.sin()
    out = mean_samples(x, rois[region, 0].long(), y * cos - z * sin + centre[region, 0],
                       y * sin + z * cos + centre[region, 1], count)
    return out.view(len(rois), rows, columns, x.size(1)).permute(0, 3, 1, 2)


def riroi_align_rotated_forward(features: Tensor, rois: Tensor, output: Tensor, pooled_height: int, pooled_width: int,
                                spatial_scale: float, num_samples: int, num_orientations: int,
                                clockwise: bool) -> None:
    """RoIAlign that turns oriented channels with the box as well (Han et al., ReDet, CVPR 2021, section 3.3).

    Args:
        features: ``(N, C * num_orientations, H, W)``.
        rois, output, pooled_height, pooled_width, spatial_scale, clockwise: As in :func:`roi_align_rotated_forward`;
            boxes are at least one cell wide and high.
        num_samples: Samples a bin and axis; 0 for as many as there are cells.
        num_orientations: Channels of one feature, each for a direction.
    """
    pool_regions(features, rois, 6, output, lambda x, usable: _turn(_pool(
        x, usable, output.shape[2:], spatial_scale, num_samples, False, clockwise), usable, num_orientations))


def riroi_align_rotated_backward(top_grad: Tensor, rois: Tensor, bottom_grad: Tensor, pooled_height: int,
                                 pooled_width: int, spatial_scale: float, num_samples: int, num_orientations: int,
                                 clockwise: bool) -> None:
    """The gradient of :func:`riroi_align_rotated_forward`, added to ``bottom_grad``."""
    pool_regions_backward(top_grad, rois, bottom_grad, lambda x, usable: _turn(_pool(
        x, usable, top_grad.shape[2:], spatial_scale, num_samples, False, clockwise), usable, num_orientations))


def _turn(pooled: Tensor, rois: Tensor, orientations: int) -> Tensor:
    """Shift the orientations by the angle of the box, between two of them linearly."""
    steps = rois[:, 5] * orientations / (2 * math.pi)
    whole = steps.floor()
    part = (steps - whole)[:, None, None, None, None]
    parts = pooled.unflatten(1, (-1, orientations))
    first = (torch.arange(orientations, device=pooled.device) - whole.long()[:, None]) % orientations

    def at(index: Tensor) -> Tensor:
        return parts.gather(2, index[:, None, :, None, None].expand_as(parts))

    return ((1 - part) * at(first) + part * at((first + 1) % orientations)).flatten(1, 2)


def rotated_feature_align_forward(features: Tensor, best_bboxes: Tensor, output: Tensor, spatial_scale: float,
                                  points: int) -> None:
    """Each cell plus what the map shows at points of the box predicted there (Yang et al., R3Det, AAAI 2021).

    Args:
        features: ``(N, C, H, W)``.
        best_bboxes: ``(N, H, W, 5)``: centre y, x, width, height in pixels of the image, angle in radians.
        output: ``(N, C, H, W)``, filled.
        spatial_scale: Feature cells a pixel, ``1 / stride``.
        points: 1 for the centre, 5 for the four corners as well.
    """
    check_inputs(features=features, best_bboxes=best_bboxes)
    output.copy_(_refined(computable(features), best_bboxes, spatial_scale, points))


def rotated_feature_align_backward(top_grad: Tensor, best_bboxes: Tensor, bottom_grad: Tensor, spatial_scale: float,
                                   points: int) -> None:
    """The gradient of :func:`rotated_feature_align_forward`, added to ``bottom_grad`` ``(N, C, H, W)``."""
    gradient_to_features(lambda x: _refined(x, best_bboxes, spatial_scale, points), computable(top_grad), bottom_grad)


def _refined(x: Tensor, boxes: Tensor, spatial_scale: float, points: int) -> Tensor:
    n, c, height, width = x.shape
    boxes = boxes.to(x.dtype).reshape(-1, 5)
    centre, half = boxes[:, None, :2] * spatial_scale, boxes[:, None, 2:4] * spatial_scale / 2
    signs = x.new_tensor([(0, 0), (1, 1), (-1, 1), (-1, -1), (1, -1)][:points])
    along, across = (signs * half).unbind(2)
    cos, sin = boxes[:, 4:].cos(), boxes[:, 4:].sin()
    y, z = centre[..., 0] + along * sin + across * cos, centre[..., 1] + along * cos - across * sin
    image = torch.arange(n, device=x.device).repeat_interleave(height * width * points)
    count = torch.full((len(boxes), ), points, device=x.device)
    sampled = points * mean_samples(x, image, y.flatten(), z.flatten(), count)
    return x + sampled.view(n, height, width, c).permute(0, 3, 1, 2)
