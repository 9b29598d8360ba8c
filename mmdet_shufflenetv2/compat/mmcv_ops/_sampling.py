"""Averages of bilinear samples, shared by the operators that align features to regions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ._kernels import check_columns, check_inputs, to_kernel_dtype, valid_rois

__all__ = [
    'add_feature_gradient',
    'mean_samples',
    'neighboring_cells',
    'pool_regions',
    'pool_regions_backward',
    'samples_of_bins',
    'write_gradients',
]


def neighboring_cells(y: Tensor, x: Tensor, height: int, width: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Row, column and weight of the four cells around each point; weight 0 for points more than a cell outside."""
    outside = ~((y >= -1) & (y <= height) & (x >= -1) & (x <= width))
    # NaN must not become an address.
    y, x = y.masked_fill(outside, 0).clamp(0, height - 1), x.masked_fill(outside, 0).clamp(0, width - 1)
    top, left = y.floor().long(), x.floor().long()
    bottom, right = (top + 1).clamp(max=height - 1), (left + 1).clamp(max=width - 1)
    down, over = y - top, x - left
    weights = ((1 - down) * (1 - over), (1 - down) * over, down * (1 - over), down * over)
    cells = ((top, left), (top, right), (bottom, left), (bottom, right))
    return [(r, c, w.masked_fill(outside, 0)) for (r, c), w in zip(cells, weights)]


def samples_of_bins(size: Tensor, bins: tuple[int, int], sampling_ratio: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute the positions of the samples in the bins of ``K`` regions.

    Args:
        size: ``(K, 2)`` height and width of the regions in cells.
        bins: Rows and columns of bins.
        sampling_ratio: Samples per bin and axis; 0 for the number of cells in the bin, rounded up.

    Returns:
        ``(K * rows * columns,)`` number of samples of each bin; then, of each sample ``(T,)``, the index of its bin and
        its row and column in that bin, from 0 to 1.
    """
    if sampling_ratio > 0:
        grid = torch.full_like(size, sampling_ratio, dtype=torch.long)
    else:
        grid = (size / size.new_tensor(bins)).ceil().clamp(min=0).long()
    grid = grid.repeat_interleave(bins[0] * bins[1], dim=0)
    count = grid.prod(dim=1)
    bin_index = torch.arange(len(count), device=size.device).repeat_interleave(count)
    number = torch.arange(len(bin_index), device=size.device) - (count.cumsum(0) - count)[bin_index]
    rows, columns = grid[bin_index].unbind(1)
    return (
        count,
        bin_index,
        (number // columns + 0.5).to(size.dtype) / rows,
        (number % columns + 0.5).to(size.dtype) / columns,
    )


def mean_samples(features: Tensor, image: Tensor, y: Tensor, x: Tensor, count: Tensor) -> Tensor:
    """Average the bilinear samples of each bin.

    Args:
        features: ``(N, C, H, W)``.
        image: ``(T,)`` int64 image index of each sample.
        y, x: ``(T,)`` row and column in cells.
        count: ``(B,)`` number of samples of each bin; the samples are sorted by bin.

    Returns:
        ``(B, C)``, 0 for a bin without samples.
    """
    c, height, width = features.shape[1:]
    corners = neighboring_cells(y, x, height, width)
    cells = torch.stack([(image * height + row) * width + column for row, column, _ in corners], dim=1)
    share = 1 / count.clamp(min=1).to(features.dtype).repeat_interleave(count)
    weights = torch.stack([weight.to(features.dtype) * share for _, _, weight in corners], dim=1)
    return F.embedding_bag(
        cells.flatten(),
        features.permute(0, 2, 3, 1).reshape(-1, c),
        4 * (count.cumsum(0) - count),
        mode='sum',
        per_sample_weights=weights.flatten(),
    )


def add_feature_gradient(function: Callable[[Tensor], Tensor], grad_output: Tensor, grad_input: Tensor) -> None:
    """Add the gradient of a function that is linear in the features to ``grad_input``."""
    with torch.enable_grad():
        features = torch.zeros_like(grad_input, dtype=grad_output.dtype).requires_grad_()
        out = function(features)
    grad_input += torch.autograd.grad(out, features, grad_output)[0].to(grad_input.dtype)


def write_gradients(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], grad_output: Tensor, targets: Sequence[Tensor]
) -> None:
    """Write the gradient of ``function(*inputs)`` with respect to each input into ``targets``."""
    with torch.enable_grad():
        inputs = [tensor.detach().requires_grad_() for tensor in inputs]
        out = function(*inputs)
    for target, grad in zip(targets, torch.autograd.grad(out, inputs, grad_output.to(out.dtype))):
        target.copy_(grad)


def pool_regions(
    features: Tensor, regions: Tensor, columns: int, output: Tensor, pool: Callable[..., Tensor], **settings: float
) -> None:
    """Fill ``output`` ``(K, C, *bins)`` with the pooled regions, with NaN for invalid regions on a GPU.

    Args:
        features: ``(N, C, H, W)``.
        regions: ``(K, columns)``: image index, then the region.
        columns: Expected number of columns.
        output: Filled.
        pool: Called with features in the kernel's dtype, valid regions, the rows and columns of bins, and ``settings``.

    Raises:
        ValueError: On a CPU, if a region is not finite or has an invalid image index.
    """
    check_inputs(features=features, regions=regions)
    check_columns(columns, regions=regions)
    x = to_kernel_dtype(features)
    valid, invalid = valid_rois(regions.to(x.dtype), len(x))
    output.copy_(pool(x, valid, output.shape[2:], **settings))
    if invalid is not None:
        output.masked_fill_(invalid[:, None, None, None], torch.nan)


def pool_regions_backward(
    grad_output: Tensor, regions: Tensor, grad_features: Tensor, pool: Callable[..., Tensor], **settings: float
) -> None:
    """The gradient of :func:`pool_regions`, added to ``grad_features`` ``(N, C, H, W)``."""
    grad = to_kernel_dtype(grad_output)
    valid, _ = valid_rois(regions.to(grad.dtype), len(grad_features))
    add_feature_gradient(lambda x: pool(x, valid, grad.shape[2:], **settings), grad, grad_features)
