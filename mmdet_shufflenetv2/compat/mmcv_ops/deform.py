"""Deformable convolution, version 1 (Dai et al., ICCV 2017) and 2 (Zhu et al., CVPR 2019, with a mask), and deformable
attention (Zhu et al., Deformable DETR, ICLR 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..private import deform_conv2d_backward
from ._kernels import to_kernel_dtype
from ._sampling import write_gradients

__all__ = [
    'deform_conv_backward_input',
    'deform_conv_backward_parameters',
    'deform_conv_forward',
    'modulated_deform_conv_backward',
    'modulated_deform_conv_forward',
    'ms_deform_attn_backward',
    'ms_deform_attn_forward',
]

# mmcv computes ``im2col_step`` images at a time to limit its buffer. torchvision chooses this number itself, so this
# argument and the buffers (``columns``, ``ones``) are not used. mmcv's Python side checks that it divides the batch.


class _Geometry(NamedTuple):
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    deform_groups: int


def deform_conv_forward(
    input: Tensor, weight: Tensor, offset: Tensor, output: Tensor, columns: Tensor, ones: Tensor, **settings: int
) -> None:
    """Compute a deformable convolution.

    Args:
        input: ``(N, C, H, W)``.
        weight: ``(O, C / group, kH, kW)``.
        offset: ``(N, deformable_group * 2 * kH * kW, H', W')`` offsets of the sampling points, y before x, in cells.
        output: ``(N, O, H', W')``, filled.
        columns, ones: Buffers of the compiled operator, not used.
        settings: ``kW``, ``kH``, ``dW`` and ``dH`` (strides), ``padW``, ``padH``, ``dilationW``, ``dilationH``,
            ``group``, ``deformable_group``, ``im2col_step``.
    """
    output.copy_(_forward(input, weight, offset, None, None, _geometry(**settings)).view_as(output))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradInput: Tensor,
    gradOffset: Tensor,
    weight: Tensor,
    columns: Tensor,
    **settings: int,
) -> None:
    """Write the gradients of :func:`deform_conv_forward` to its input and offset into the output tensors."""
    grad_input, _, grad_offset, _, _ = _backward(gradOutput, input, weight, offset, None, None, _geometry(**settings))
    gradInput.copy_(grad_input)
    gradOffset.copy_(grad_offset)


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradWeight: Tensor,
    columns: Tensor,
    ones: Tensor,
    scale: float,
    **settings: int,
) -> None:
    """Add ``scale`` times the gradient of :func:`deform_conv_forward` to its weight to ``gradWeight``."""
    # The gradient of the weight does not depend on its values.
    _, grad_weight, _, _, _ = _backward(
        gradOutput, input, torch.zeros_like(gradWeight), offset, None, None, _geometry(**settings)
    )
    gradWeight.add_(grad_weight.to(gradWeight.dtype), alpha=scale)


def _geometry(
    *,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    **unused: int,
) -> _Geometry:
    return _Geometry((dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group)


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    with_bias: bool,
    **settings: int,
) -> None:
    """Compute a deformable convolution with a factor for each sampling point.

    Args:
        input, weight, offset, output: As in :func:`deform_conv_forward`.
        bias: ``(O,)``; only used if ``with_bias`` is set.
        mask: ``(N, deformable_group * kernel_h * kernel_w, H', W')``.
        ones, columns: Buffers of the compiled operator, not used.
        settings: ``kernel_h``, ``kernel_w``, ``stride_h``, ``stride_w``, ``pad_h``, ``pad_w``, ``dilation_h``,
            ``dilation_w``, ``group``, ``deformable_group``.
    """
    output.copy_(
        _forward(
            input,
            weight,
            _read_prefix(offset, output),
            _read_prefix(mask, output),
            bias if with_bias else None,
            _modulated_geometry(**settings),
        ).view_as(output)
    )


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    with_bias: bool,
    **settings: int,
) -> None:
    """Add the gradients of :func:`modulated_deform_conv_forward` to the output tensors, which mmcv sets to zero."""
    grads = _backward(
        grad_output,
        input,
        weight,
        _read_prefix(offset, grad_output),
        _read_prefix(mask, grad_output),
        bias if with_bias else None,
        _modulated_geometry(**settings),
    )
    targets = [grad_input, grad_weight, _read_prefix(grad_offset, grad_output), _read_prefix(grad_mask, grad_output)]
    targets += [grad_bias] if with_bias else []
    for target, grad in zip(targets, grads):
        target.add_(grad.to(target.dtype))


def _modulated_geometry(
    *,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    **unused: int,
) -> _Geometry:
    return _Geometry((stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w), group, deformable_group)


def _read_prefix(tensor: Tensor, output: Tensor) -> Tensor:
    """``(N, K, H, W)`` offsets or masks as the compiled operator reads them: K maps of the output's size.

    The compiled operator ignores H and W. MMDetection's DyHead passes maps of a larger level, and the operator reads
    the beginning of their memory, per image. Heads were trained with this behavior.
    """
    n, k, h, w = tensor.shape
    size = output.shape[2:]
    if (h, w) == size or h * w < size.numel():  # torchvision reports maps that are too small
        return tensor
    # A view, so that a gradient can be added to it. mmcv's Python side has made the tensor contiguous.
    return tensor.view(n, -1)[:, : k * size.numel()].view(n, k, *size)


def _forward(
    input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None, bias: Tensor | None, geometry: _Geometry
) -> Tensor:
    tensors, settings = _arguments(input, weight, offset, mask, bias, geometry)
    return torch.ops.torchvision.deform_conv2d(*tensors, *settings)


def _backward(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    geometry: _Geometry,
) -> tuple[Tensor, ...]:
    tensors, settings = _arguments(input, weight, offset, mask, bias, geometry)
    grads = deform_conv2d_backward(grad.to(tensors[0].dtype).contiguous(), *tensors, *settings)
    return *grads[:2], grads[2].masked_fill_(_outside(tensors[2], weight, input.shape[2:], geometry), 0), *grads[3:]


def _outside(offset: Tensor, weight: Tensor, limits: Sequence[int], geometry: _Geometry) -> Tensor:
    """Mask of the ``(N, K, H', W')`` offsets whose point is at or beyond row or column -1 or the limits.

    mmcv has no gradient there. torchvision's gradient is not 0 for a point exactly at -1, which with zero offsets is
    every point in a padding of one cell. For points at infinity torchvision computes invalid addresses.
    """
    points = offset.view(len(offset), geometry.deform_groups, *weight.shape[2:], 2, *offset.shape[2:])
    outside = torch.zeros((), dtype=torch.bool, device=offset.device)
    for axis, shape in enumerate(((-1, 1, offset.size(2), 1), (-1, 1, offset.size(3)))):
        cells = torch.arange(weight.size(2 + axis), device=offset.device) * geometry.dilation[axis]
        starts = torch.arange(offset.size(2 + axis), device=offset.device) * geometry.stride[axis]
        grid = cells[:, None] - geometry.padding[axis] + starts
        # Added in the precision of the kernel, in which a point at -1 + 1e-9 is at -1.
        position = points[:, :, :, :, axis] + grid.view(shape).to(offset.dtype)
        outside = outside | ~((position > -1) & (position < limits[axis]))
    return outside[:, :, :, :, None].expand_as(points).reshape(offset.shape)


def _arguments(
    input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None, bias: Tensor | None, geometry: _Geometry
) -> tuple[list[Tensor], list[int | bool]]:
    x = to_kernel_dtype(input)
    # torchvision also requires tensors for a missing mask and bias.
    mask_or_empty = x.new_zeros(x.size(0), 1) if mask is None else mask
    bias_or_zeros = x.new_zeros(weight.size(0)) if bias is None else bias
    # For mmcv a point at NaN is outside; torchvision's CPU kernel computes an address from it. At an infinite offset it
    # is outside for both.
    offset = offset.nan_to_num(torch.inf, torch.inf, -torch.inf)
    tensors = [x.contiguous(), *(t.to(x.dtype).contiguous() for t in (weight, offset, mask_or_empty, bias_or_zeros))]
    return tensors, [
        *geometry.stride,
        *geometry.padding,
        *geometry.dilation,
        geometry.groups,
        geometry.deform_groups,
        mask is not None,
    ]


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Compute multi-scale deformable attention with mmcv's PyTorch implementation.

    Args:
        value: ``(N, K, M, D)``: the K cells of all levels, M heads of D channels.
        value_spatial_shapes: ``(L, 2)`` height and width of each level.
        value_level_start_index: ``(L,)`` first cell of each level; not used, it follows from the shapes.
        sampling_locations: ``(N, Q, M, L, P, 2)`` x and y from 0 to 1.
        attention_weights: ``(N, Q, M, L, P)``.

    Returns:
        ``(N, Q, M * D)``.
    """
    # Imported here because mmcv.ops imports this module.
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    return multi_scale_deformable_attn_pytorch(value, value_spatial_shapes, sampling_locations, attention_weights)


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Write the gradients of :func:`ms_deform_attn_forward` into the output tensors."""
    write_gradients(
        lambda values, locations, weights: ms_deform_attn_forward(
            values, value_spatial_shapes, value_level_start_index, locations, weights, im2col_step
        ),
        (value, sampling_locations, attention_weights),
        grad_output,
        (grad_value, grad_sampling_loc, grad_attn_weight),
    )
