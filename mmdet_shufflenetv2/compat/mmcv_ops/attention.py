"""Multi-scale deformable attention (Zhu et al., Deformable DETR, ICLR 2021), by the PyTorch form that mmcv ships."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ['ms_deform_attn_backward', 'ms_deform_attn_forward']


def ms_deform_attn_forward(value: Tensor, value_spatial_shapes: Tensor, value_level_start_index: Tensor,
                           sampling_locations: Tensor, attention_weights: Tensor, im2col_step: int) -> Tensor:
    """Attend to a few sampled places of each level.

    Args:
        value: ``(N, K, M, D)``: the K cells of all levels, M heads of D channels.
        value_spatial_shapes: ``(L, 2)`` height and width of each level.
        value_level_start_index: ``(L,)`` first cell of each level; follows from the shapes.
        sampling_locations: ``(N, Q, M, L, P, 2)`` x and y in 0..1.
        attention_weights: ``(N, Q, M, L, P)``.
        im2col_step: Images at a time in the compiled operator, not used.

    Returns:
        ``(N, Q, M * D)``.
    """
    return _attend(value, value_spatial_shapes, sampling_locations, attention_weights)


def ms_deform_attn_backward(value: Tensor, value_spatial_shapes: Tensor, value_level_start_index: Tensor,
                            sampling_locations: Tensor, attention_weights: Tensor, grad_output: Tensor,
                            grad_value: Tensor, grad_sampling_loc: Tensor, grad_attn_weight: Tensor,
                            im2col_step: int) -> None:
    """The gradients of :func:`ms_deform_attn_forward`, written into the tensors handed in."""
    with torch.enable_grad():
        inputs = [t.detach().requires_grad_() for t in (value, sampling_locations, attention_weights)]
        out = _attend(inputs[0], value_spatial_shapes, *inputs[1:])
    for target, grad in zip((grad_value, grad_sampling_loc, grad_attn_weight),
                            torch.autograd.grad(out, inputs, grad_output.to(out.dtype))):
        target.copy_(grad)


def _attend(value: Tensor, shapes: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    # Imported late: mmcv.ops imports this package's operators first.
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch
    return multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)
