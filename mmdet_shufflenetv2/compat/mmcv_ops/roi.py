"""RoI pooling and RoIAlign."""

from __future__ import annotations

import torch
from torch import Tensor

from ..private import roi_align_backward as torchvision_roi_align_backward
from ._kernels import check_columns, check_inputs, check_rois, to_kernel_dtype, valid_rois
from ._sampling import neighboring_cells

__all__ = ['roi_align_backward', 'roi_align_forward', 'roi_pool_backward', 'roi_pool_forward']

_MAX_POOL = 0


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """RoIAlign (He et al., Mask R-CNN, ICCV 2017, section 3).

    Args:
        input: ``(N, C, H, W)`` features.
        rois: ``(K, 5)``: image index, x1, y1, x2, y2 in pixels of the image.
        output: ``(K, C, aligned_height, aligned_width)``, filled.
        argmax_y, argmax_x: With max pooling, filled with the position of the largest sample of each bin, in cells; of
            ``output``'s shape.
        spatial_scale: Feature cells per pixel, ``1 / stride``.
        sampling_ratio: Samples per bin and axis; 0 for the number of cells in the bin.
        pool_mode: 0 maximum of a bin's samples, 1 their average.
        aligned: Shift by half a cell (Detectron2's correction).

    Raises:
        ValueError: If a row of ``rois`` is not finite or has an invalid image index. On a GPU, average pooling does not
            check this, because a check would synchronize; the output of such a row is NaN.
    """
    check_inputs(input=input, rois=rois)
    check_columns(5, rois=rois)
    x = to_kernel_dtype(input)
    rois = rois.to(x.dtype)
    if pool_mode == _MAX_POOL:
        check_rois(rois, len(x))
        _max_pool(x, rois, output, argmax_y, argmax_x, spatial_scale, sampling_ratio, aligned)
        return
    valid, invalid = valid_rois(rois, len(x))
    output.copy_(
        torch.ops.torchvision.roi_align(x, valid, spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned)
    )
    if invalid is not None:
        output.masked_fill_(invalid[:, None, None, None], torch.nan)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Add the gradient of :func:`roi_align_forward` to ``grad_input`` ``(N, C, H, W)``."""
    grad = to_kernel_dtype(grad_output)
    if pool_mode == _MAX_POOL:
        _max_pool_backward(grad, rois, argmax_y, argmax_x, grad_input)
        return
    valid, _ = valid_rois(rois.to(grad.dtype), len(grad_input))
    grad_input += torchvision_roi_align_backward(
        grad, valid, spatial_scale, aligned_height, aligned_width, *grad_input.shape, sampling_ratio, aligned
    ).to(grad_input.dtype)


def _max_pool(
    x: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> None:
    bins = torch.tensor(output.shape[2:], dtype=x.dtype, device=x.device)
    shift = 0.5 if aligned else 0.0
    start = rois[:, [2, 1]] * spatial_scale - shift
    size = rois[:, [4, 3]] * spatial_scale - shift - start
    if not aligned:
        size = size.clamp(min=1)
    bin_size = size / bins
    samples = torch.full_like(size, sampling_ratio) if sampling_ratio > 0 else bin_size.ceil()
    for k in range(len(rois)):
        # Rows and columns of the samples: (bins, samples per bin) each; the grid is their product.
        ys, xs = (
            _sample_positions(start[k, axis], bin_size[k, axis], output.size(2 + axis), int(samples[k, axis]))
            for axis in (0, 1)
        )
        values = _bilinear(x[int(rois[k, 0])], ys.flatten(), xs.flatten())
        values = values.view(x.size(1), *ys.shape, *xs.shape).transpose(2, 3).flatten(3)
        if values.size(3) == 0:
            output[k], argmax_y[k], argmax_x[k] = 0, -1, -1
            continue
        output[k], index = values.max(dim=3)
        rows, columns = (torch.arange(n, device=x.device) for n in output.shape[2:])
        argmax_y[k] = ys[rows[:, None], index // xs.size(1)]
        argmax_x[k] = xs[columns, index % xs.size(1)]


def _sample_positions(start: Tensor, bin_size: Tensor, bins: int, samples: int) -> Tensor:
    """``(bins, samples)`` coordinates along one axis, in cells."""
    first = start + torch.arange(bins, device=start.device) * bin_size
    return first[:, None] + (torch.arange(samples, device=start.device) + 0.5) * bin_size / max(samples, 1)


def _bilinear(features: Tensor, ys: Tensor, xs: Tensor) -> Tensor:
    """``(C, len(ys), len(xs))`` values of ``(C, H, W)`` features at the product of rows and columns."""
    y, x = torch.meshgrid(ys, xs, indexing='ij')
    cells = neighboring_cells(y, x, *features.shape[1:])
    return sum((features[:, r, c] * w for r, c, w in cells), start=features.new_zeros(()))


def _max_pool_backward(grad: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor, grad_input: Tensor) -> None:
    _, channels, height, width = grad_input.shape
    image = rois[:, 0].long()[:, None, None, None].expand_as(grad)
    channel = torch.arange(channels, device=grad.device)[None, :, None, None].expand_as(grad)
    is_empty = argmax_y == -1
    for row, column, weight in neighboring_cells(argmax_y.to(grad.dtype), argmax_x.to(grad.dtype), height, width):
        share = (grad * weight).masked_fill(is_empty, 0).to(grad_input.dtype)
        grad_input.index_put_((image, channel, row, column), share, accumulate=True)


def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """RoI pooling (Girshick, Fast R-CNN, ICCV 2015, section 2.1) with mmcv's bins.

    torchvision's operator rounds the region to integer cells first and mmcv's does not, so this is plain PyTorch.

    Args:
        input: ``(N, C, H, W)``.
        rois: ``(K, 5)``: image index, x1, y1, x2, y2 in pixels of the image; the last pixel is part of the region.
        output: ``(K, C, pooled_height, pooled_width)``, filled; 0 if a bin is empty.
        argmax: int32, filled with the cell (row * W + column) of each maximum, or -1 if a bin is empty.
        spatial_scale: Feature cells per pixel.
    """
    check_inputs(input=input, rois=rois)
    check_columns(5, rois=rois)
    check_rois(rois, len(input))
    height, width = input.shape[2:]
    start = rois[:, [2, 1]] * spatial_scale
    size = (rois[:, [4, 3]] + 1) * spatial_scale - start
    for k, image in enumerate(rois[:, 0].long().tolist()):
        if (size[k] <= 0).any():
            # An empty region has no gradient. The compiled operator adds it to the first cell, as its argmax is 0.
            output[k], argmax[k] = 0, -1
            continue
        rows, columns = (
            _bin_cells(start[k, axis], size[k, axis], bins, cells)
            for axis, bins, cells in ((0, pooled_height, height), (1, pooled_width, width))
        )
        for i, (top, bottom) in enumerate(rows):
            for j, (left, right) in enumerate(columns):
                if bottom <= top or right <= left:
                    output[k, :, i, j], argmax[k, :, i, j] = 0, -1
                    continue
                output[k, :, i, j], index = input[image, :, top:bottom, left:right].flatten(1).max(dim=1)
                row, column = index // (right - left) + top, index % (right - left) + left
                argmax[k, :, i, j] = (row * width + column).to(argmax.dtype)


def _bin_cells(start: Tensor, size: Tensor, bins: int, cells: int) -> list[tuple[int, int]]:
    """First cell and end cell (exclusive) of each bin along one axis."""
    numbers = torch.arange(bins, device=start.device)
    bin_size = size / bins
    first = (numbers * bin_size + start).floor().clamp(0, cells)
    end = ((numbers + 1) * bin_size + start).ceil().clamp(0, cells)
    return [(int(a), int(b)) for a, b in zip(first.tolist(), end.tolist())]


def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Add the gradient of :func:`roi_pool_forward` to ``grad_input`` ``(N, C, H, W)``."""
    _, c, h, w = grad_input.shape
    plane = rois[:, 0].long()[:, None] * c + torch.arange(c, device=rois.device)
    cell = plane[:, :, None, None] * h * w + argmax.clamp(min=0)
    share = grad_output.masked_fill(argmax < 0, 0).to(grad_input.dtype)
    grad_input.view(-1).index_add_(0, cell.flatten(), share.flatten())
