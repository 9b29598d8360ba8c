"""Operators that ONNX lacks, written with ONNX operators. They replace MMDetection's while a graph is traced.

ONNX has deformable convolution since opset 19, which few runtimes support. Batch sizes and sizes of feature maps remain
dynamic.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import mmcv.ops.carafe
import mmcv.ops.deform_conv
import mmcv.ops.masked_conv
import mmcv.ops.modulated_deform_conv
import mmcv.ops.multi_scale_deform_attn
import mmdet.models.dense_heads.tood_head
import torch
import torch.nn.functional as F
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmengine.utils import to_2tuple as pair
from torch import Tensor, nn
from torchvision.ops import PSRoIAlign, roi_align

from ...compat.patches import replaced
from .position_sensitive import ps_roi_align

__all__ = ['carafe', 'deform_conv2d', 'deformable_attention', 'extract_rois', 'roi_levels', 'traceable', 'unmasked']


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    deform_groups: int = 1,
    bias: bool = False,
    im2col_step: int = 32,
    mask: Tensor | None = None,
) -> Tensor:
    """Deformable convolution (``mmcv.ops.deform_conv2d``): samples all points, then multiplies by the weights.

    Args:
        x: ``(N, C, H, W)``.
        offset: ``(N, deform_groups * 2 * kH * kW, H', W')``, y before x, in cells.
        weight: ``(O, C / groups, kH, kW)``.
        mask: ``(N, deform_groups * kH * kW, H', W')`` factors of version 2; None for version 1.
        bias, im2col_step: Part of mmcv's signature; they have no effect.

    Returns:
        ``(N, O, H', W')``.
    """
    (sy, sx), (py, px), (dy, dx) = pair(stride), pair(padding), pair(dilation)
    batch, channels, height, width = x.shape
    out_channels, _, kh, kw = weight.shape
    rows, columns = (height + 2 * py - dy * (kh - 1) - 1) // sy + 1, (width + 2 * px - dx * (kw - 1) - 1) // sx + 1
    points = kh * kw
    # DyHead passes offsets of a larger level, of which mmcv reads the first values.
    offset = offset.flatten(1)[:, : deform_groups * 2 * points * rows * columns].reshape(
        batch * deform_groups, points, 2, rows, columns
    )
    kernel = [(i * dy - py, j * dx - px) for i in range(kh) for j in range(kw)]
    first_y, first_x = x.new_tensor(kernel).T.reshape(2, points, 1, 1)
    down = offset[:, :, 0] + (first_y + torch.arange(rows, device=x.device).view(-1, 1) * sy)
    across = offset[:, :, 1] + (first_x + torch.arange(columns, device=x.device) * sx)
    grid = torch.stack(((2 * across + 1) / width - 1, (2 * down + 1) / height - 1), dim=-1).flatten(1, 2)
    sampled = F.grid_sample(x.reshape(batch * deform_groups, -1, height, width), grid, align_corners=False)
    sampled = sampled.reshape(batch, deform_groups, channels // deform_groups, points, rows * columns)
    if mask is not None:
        mask = mask.flatten(1)[:, : deform_groups * points * rows * columns]
        sampled = sampled * mask.reshape(batch, deform_groups, 1, points, rows * columns)
    sampled = sampled.reshape(batch, groups, channels // groups * points, rows * columns)
    out = weight.reshape(groups, out_channels // groups, -1) @ sampled
    return out.reshape(batch, out_channels, rows, columns)


def _modulated_deform_conv2d(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    deform_groups: int,
) -> Tensor:
    out = deform_conv2d(x, offset, weight, stride, padding, dilation, groups, deform_groups, mask=mask)
    return out if bias is None else out + bias.view(1, -1, 1, 1)


def _masked_conv2d(x: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, padding: Any) -> Tensor:
    """A convolution of all cells: those outside of the mask are dropped later."""
    return F.conv2d(x, weight, bias, padding=padding)


def carafe(features: Tensor, masks: Tensor, kernel_size: int, group_size: int, scale_factor: int) -> Tensor:
    """``mmcv.ops.carafe``: ``(N, C, H, W)`` and masks ``(N, groups * k * k, sH, sW)`` to ``(N, C, sH, sW)``."""
    batch, channels = features.shape[:2]
    height, width = masks.shape[-2:]
    near = F.interpolate(features, scale_factor=float(scale_factor), mode='nearest')
    near = F.pad(near, [kernel_size // 2 * scale_factor] * 4)
    near = near.unflatten(1, (group_size, channels // group_size))  # type: ignore[no-untyped-call]  # PyTorch's
    masks = masks.unflatten(1, (group_size, kernel_size**2))  # type: ignore[no-untyped-call]  # PyTorch's
    out: Any = 0
    for index in range(kernel_size**2):
        row, column = (step * scale_factor for step in divmod(index, kernel_size))
        out = out + near[..., row : row + height, column : column + width] * masks[:, :, index : index + 1]
    return out.reshape(batch, channels, height, width)


def deformable_attention(value: Tensor, shapes: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    """``mmcv.ops.multi_scale_deformable_attn_pytorch`` for feature maps of dynamic sizes.

    Args:
        value: ``(N, K, heads, D)``: the cells of all levels.
        shapes: ``(levels, 2)``: heights and widths.
        locations: ``(N, Q, heads, levels, points, 2)``: x and y, 0 to 1.
        weights: ``(N, Q, heads, levels, points)``.

    Returns:
        ``(N, Q, heads * D)``.
    """
    batch, _, heads, width = value.shape
    queries, levels, points = locations.shape[1], locations.shape[3], locations.shape[4]
    maps = value.permute(0, 2, 3, 1).reshape(batch * heads, width, -1)
    grids = (2 * locations - 1).permute(0, 2, 3, 1, 4, 5).flatten(0, 1)
    sampled: list[Tensor] = []
    start: Any = 0
    for level in range(levels):
        h: Any = shapes[level, 0]
        w: Any = shapes[level, 1]
        sampled.append(
            F.grid_sample(
                maps[:, :, start : start + h * w].reshape(batch * heads, width, h, w),
                grids[:, level],
                align_corners=False,
            )
        )
        start = start + h * w
    weights = weights.permute(0, 2, 1, 3, 4).reshape(batch * heads, 1, queries, levels * points)
    out = (torch.stack(sampled, dim=-2).flatten(-2) * weights).sum(-1)
    return out.reshape(batch, heads * width, queries).transpose(1, 2)


def _linspace(start: Any, end: Any, steps: Any, **options: Any) -> Tensor:
    """``torch.linspace`` with steps of 1, as MMDetection uses it; their number remains dynamic in a trace."""
    return torch.arange(steps, **options) + start


def extract_rois(
    extractor: SingleRoIExtractor, features: Sequence[Tensor], rois: Tensor, roi_scale_factor: float | None = None
) -> Tensor:
    """``SingleRoIExtractor.forward``: features ``(K, C, size, size)`` of the RoIs ``(K, 5)``."""
    layers = extractor.roi_layers
    if len(layers) == 1:
        return _pooled(features[0], rois, layers[0])
    levels = roi_levels(rois, extractor)
    if roi_scale_factor is not None:
        rois = extractor.roi_rescale(rois, roi_scale_factor)
    indices = [(levels == level).nonzero()[:, 0] for level in range(len(layers))]
    pooled = torch.cat(
        [
            _pooled(feature, rois.index_select(0, index), layer)
            for feature, index, layer in zip(features, indices, layers)
        ]
    )
    return pooled.index_select(0, torch.cat(indices).argsort())


def roi_levels(rois: Tensor, extractor: SingleRoIExtractor) -> Tensor:
    """``SingleRoIExtractor.map_roi_levels`` without areas, which overflow in half precision above 65504 pixels."""
    sides = (rois[:, 3:] - rois[:, 1:3]).sqrt()
    levels = torch.log2(sides[:, 0] * sides[:, 1] / extractor.finest_scale + 1e-6).floor()
    return levels.clamp(min=0, max=len(extractor.roi_layers) - 1).long()


def _pooled(feature: Tensor, rois: Tensor, layer: nn.Module) -> Tensor:
    if isinstance(layer, PSRoIAlign):
        return ps_roi_align(feature, rois, layer.output_size, layer.spatial_scale, layer.sampling_ratio)
    return roi_align(feature, rois, layer.output_size, layer.spatial_scale, layer.sampling_ratio, layer.aligned)


def _patches() -> list[AbstractContextManager[None]]:
    return [
        replaced('mmcv.ops.deform_conv2d', mmcv.ops.deform_conv, deform_conv2d),
        replaced('mmcv.ops.deform_conv2d', mmdet.models.dense_heads.tood_head, deform_conv2d),
        replaced('mmcv.ops.modulated_deform_conv2d', mmcv.ops.modulated_deform_conv, _modulated_deform_conv2d),
        replaced('mmcv.ops.masked_conv2d', mmcv.ops.masked_conv, _masked_conv2d),
        replaced('mmcv.ops.carafe', sys.modules['mmcv.ops.carafe'], carafe),
        replaced(
            'mmcv.ops.multi_scale_deformable_attn_pytorch', mmcv.ops.multi_scale_deform_attn, deformable_attention
        ),
        replaced('torch.linspace', torch, _linspace),
        replaced('SingleRoIExtractor.forward', SingleRoIExtractor, extract_rois),
    ]


@contextmanager
def unmasked() -> Iterator[None]:
    """Let MMDetection's masked convolutions compute all cells, as in a graph."""
    with replaced('mmcv.ops.masked_conv2d', mmcv.ops.masked_conv, _masked_conv2d):
        yield


@contextmanager
def traceable() -> Iterator[None]:
    """Let MMDetection's layers use the operators of this module."""
    fast = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        for patch in _patches():
            stack.enter_context(patch)
        torch.backends.mha.set_fastpath_enabled(False)  # its operator cannot be exported
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        yield
