"""Deformable convolution, version 1 (Dai et al., ICCV 2017) and 2 (Zhu et al., CVPR 2019, with a mask), and deformable
attention (Zhu et al., Deformable DETR, ICLR 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..private import deform_conv2d_backward
from ._kernels import computable
from ._sampling import write_gradients

__all__ = [
    'deform_conv_backward_input', 'deform_conv_backward_parameters', 'deform_conv_forward',
    'modulated_deform_conv_backward', 'modulated_deform_conv_forward', 'ms_deform_attn_backward',
    'ms_deform_attn_forward'
]

# mmcv computes ``im2col_step`` images at a time to bound its buffer. torchvision does so by itself, so that argument
# and the buffers (``columns``, ``ones``) change nothing here. Its divisor is checked by mmcv's Python side.


def deform_conv_forward(input: Tensor, weight: Tensor, offset: Tensor, output: Tensor, columns: Tensor, ones: Tensor,
                        **settings: int) -> None:
    """Deformable convolution.

    Args:
        input: ``(N, C, H, W)``.
        weight: ``(O, C / group, kH, kW)``.
        offset: ``(N, deformable_group * 2 * kH * kW, H', W')`` shifts of the sampling points, y before x, in cells.
        output: ``(N, O, H', W')``, filled.
        columns, ones: Buffers of the compiled operator, not used.
        settings: ``kW``, ``kH``, ``dW`` and ``dH`` (strides), ``padW``, ``padH``, ``dilationW``, ``dilationH``,
            ``group``, ``deformable_group``, ``im2col_step``.
    """
    output.copy_(_forward(input, weight, offset, None, None, *_geometry(**settings)).view_as(output))


def deform_conv_backward_input(input: Tensor, offset: Tensor, gradOutput: Tensor, gradInput: Tensor,
                               gradOffset: Tensor, weight: Tensor, columns: Tensor, **settings: int) -> None:
    """The gradients of :func:`deform_conv_forward` to its input and offset, written into the tensors handed in."""
    grad_input, _, grad_offset, _, _ = _backward(gradOutput, input, weight, offset, None, None, *_geometry(**settings))
    gradInput.copy_(grad_input)
    gradOffset.copy_(grad_offset)


def deform_conv_backward_parameters(input: Tensor, offset: Tensor, gradOutput: Tensor, gradWeight: Tensor,
                                    columns: Tensor, ones: Tensor, scale: float, **settings: int) -> None:
    """``scale`` times the gradient of :func:`deform_conv_forward` to its weight, added to ``gradWeight``."""
    # The values of the weight have no part in its own gradient.
    _, grad_weight, _, _, _ = _backward(
        gradOutput, input, torch.zeros_like(gradWeight), offset, None, None, *_geometry(**settings))
    gradWeight.add_(grad_weight.to(gradWeight.dtype), alpha=scale)


def _geometry(*, dW: int, dH: int, padW: int, padH: int, dilationW: int, dilationH: int, group: int,
              deformable_group: int, **unused: int) -> tuple[tuple[int, int] | int, ...]:
    return (dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group


def modulated_deform_conv_forward(input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor, offset: Tensor,
                                  mask: Tensor, output: Tensor, columns: Tensor, with_bias: bool,
                                  **settings: int) -> None:
    """Deformable convolution with a factor for each sampling point.

    Args:
        input, weight, offset, output: As in :func:`deform_conv_forward`.
        bias: ``(O,)``; used where ``with_bias`` is set.
        mask: ``(N, deformable_group * kernel_h * kernel_w, H', W')``.
        ones, columns: Buffers of the compiled operator, not used.
        settings: ``kernel_h``, ``kernel_w``, ``stride_h``, ``stride_w``, ``pad_h``, ``pad_w``, ``dilation_h``,
            ``dilation_w``, ``group``, ``deformable_group``.
    """
    output.copy_(_forward(input, weight, _as_read(offset, output), _as_read(mask, output), bias if with_bias else None,
                          *_modulated_geometry(**settings)).view_as(output))


def modulated_deform_conv_backward(input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor, offset: Tensor,
                                   mask: Tensor, columns: Tensor, grad_input: Tensor, grad_weight: Tensor,
                                   grad_bias: Tensor, grad_offset: Tensor, grad_mask: Tensor, grad_output: Tensor,
                                   with_bias: bool, **settings: int) -> None:
    """The gradients of :func:`modulated_deform_conv_forward`, added to the tensors handed in (mmcv hands in zeros)."""
    grads = _backward(grad_output, input, weight, _as_read(offset, grad_output), _as_read(mask, grad_output),
                      bias if with_bias else None, *_modulated_geometry(**settings))
    targets = [grad_input, grad_weight, _as_read(grad_offset, grad_output), _as_read(grad_mask, grad_output)]
    targets += [grad_bias] if with_bias else []
    for target, grad in zip(targets, grads):
        target.add_(grad.to(target.dtype))


def _modulated_geometry(*, stride_h: int, stride_w: int, pad_h: int, pad_w: int, dilation_h: int, dilation_w: int,
                        group: int, deformable_group: int, **unused: int) -> tuple[tuple[int, int] | int, ...]:
    return (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w), group, deformable_group


def _as_read(tensor: Tensor, output: Tensor) -> Tensor:
    """``(N, K, H, W)`` offsets or masks as the compiled operator reads them: K maps of the output's size.

    It does not look at H and W. MMDetection's DyHead hands in maps of a larger level, of whose memory the operator then
    reads the beginning, image by image; heads have been trained so.
    """
    n, k, h, w = tensor.shape
    size = output.shape[2:]
    if (h, w) == size or h * w < size.numel():  # too small a map is torchvision's error
        return tensor
    # A view, so that a gradient can be added to it. mmcv's Python side has made the tensor contiguous.
    return tensor.view(n, -1)[:, :k * size.numel()].view(n, k, *size)


def _forward(input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None, bias: Tensor | None,
             *geometry: object) -> Tensor:
    tensors, settings = _arguments(input, weight, offset, mask, bias, *geometry)
    return torch.ops.torchvision.deform_conv2d(*tensors, *settings)


def _backward(grad: Tensor, input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None, bias: Tensor | None,
              *geometry: object) -> tuple[Tensor, ...]:
    tensors, settings = _arguments(input, weight, offset, mask, bias, *geometry)
    grads = deform_conv2d_backward(grad.to(tensors[0].dtype).contiguous(), *tensors, *settings)
    return *grads[:2], grads[2].masked_fill_(_outside(tensors[2], weight, input.shape[2:], *geometry), 0), *grads[3:]


def _outside(offset: Tensor, weight: Tensor, limits: Sequence[int], stride: tuple[int, int], padding: tuple[int, int],
             dilation: tuple[int, int], groups: int, deform_groups: int) -> Tensor:
    """Which of the ``(N, K, H', W')`` offsets belong to a point at or past row or column -1, or the limits.

    mmcv has no gradient there. torchvision counts the cell beside a point that lies exactly at -1, which with offsets
    of zero is every point in a padding of one cell, and computes with addresses for points at infinity.
    """
    points = offset.view(len(offset), deform_groups, *weight.shape[2:], 2, *offset.shape[2:])
    outside = torch.zeros((), dtype=torch.bool, device=offset.device)
    for axis, shape in enumerate(((-1, 1, offset.size(2), 1), (-1, 1, offset.size(3)))):
        cells = torch.arange(weight.size(2 + axis), device=offset.device) * dilation[axis] - padding[axis]
        grid = cells[:, None] + torch.arange(offset.size(2 + axis), device=offset.device) * stride[axis]
        # Added in the precision of the kernel, where an offset of 1e-9 leaves a point at -1.
        place = points[:, :, :, :, axis] + grid.view(shape).to(offset.dtype)
        outside = outside | ~((place > -1) & (place < limits[axis]))
    return outside[:, :, :, :, None].expand_as(points).reshape(offset.shape)


def _arguments(input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None, bias: Tensor | None,
               stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int], groups: int,
               deform_groups: int) -> tuple[list[Tensor], list[int | bool]]:
    x = computable(input)
    # torchvision takes tensors for the absent mask and bias as well.
    mask_or_empty = x.new_zeros(x.size(0), 1) if mask is None else mask
    bias_or_zeros = x.new_zeros(weight.size(0)) if bias is None else bias
    # A point that is no number is outside for mmcv, and an address for torchvision's kernel on the CPU. At an infinite
    # offset it is outside for both.
    offset = offset.nan_to_num(torch.inf, torch.inf, -torch.inf)
    tensors = [x.contiguous(), *(t.to(x.dtype).contiguous() for t in (weight, offset, mask_or_empty, bias_or_zeros))]
    return tensors, [*stride, *padding, *dilation, groups, deform_groups, mask is not None]


def ms_deform_attn_forward(value: Tensor, value_spatial_shapes: Tensor, value_level_start_index: Tensor,
                           sampling_locations: Tensor, attention_weights: Tensor, im2col_step: int) -> Tensor:
    """Attend to a few sampled points of each level, by the PyTorch form that mmcv ships.

    Args:
        value: ``(N, K, M, D)``: the K cells of all levels, M heads of D channels.
        value_spatial_shapes: ``(L, 2)`` height and width of each level.
        value_level_start_index: ``(L,)`` first cell of each level; follows from the shapes.
        sampling_locations: ``(N, Q, M, L, P, 2)`` x and y in 0..1.
        attention_weights: ``(N, Q, M, L, P)``.

    Returns:
        ``(N, Q, M * D)``.
    """
    # Imported late: mmcv.ops imports this package's operators first.
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch
    return multi_scale_deformable_attn_pytorch(value, value_spatial_shapes, sampling_locations, attention_weights)


def ms_deform_attn_backward(value: Tensor, value_spatial_shapes: Tensor, value_level_start_index: Tensor,
                            sampling_locations: Tensor, attention_weights: Tensor, grad_output: Tensor,
                            grad_value: Tensor, grad_sampling_loc: Tensor, grad_attn_weight: Tensor,
                            im2col_step: int) -> None:
    """The gradients of :func:`ms_deform_attn_forward`, written into the tensors handed in."""
    write_gradients(lambda values, *rest: ms_deform_attn_forward(
        values, value_spatial_shapes, value_level_start_index, *rest, im2col_step),
        (value, sampling_locations, attention_weights), grad_output, (grad_value, grad_sampling_loc, grad_attn_weight))
