"""CARAFE upsampling (Wang et al., ICCV 2019): each output cell is a weighted sum around its source cell."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ._sampling import write_gradients

__all__ = ['carafe_backward', 'carafe_forward', 'carafe_naive_backward', 'carafe_naive_forward']


def carafe_naive_forward(
    features: Tensor, masks: Tensor, output: Tensor, kernel_size: int, group_size: int, scale_factor: int
) -> None:
    """Reassemble features.

    Args:
        features: ``(N, C, H, W)``.
        masks: ``(N, group_size * kernel_size ** 2, H * scale_factor, W * scale_factor)`` weights of the source cells.
        output: ``(N, C, H * scale_factor, W * scale_factor)``, filled.
        kernel_size: Side of the square of source cells, odd.
        group_size: Number of channel groups; each has its own weights.
        scale_factor: Output cells per source cell and axis.
    """
    output.copy_(_reassemble(features, masks, kernel_size, group_size, scale_factor))


def carafe_naive_backward(
    top_grad: Tensor, features: Tensor, masks: Tensor, bottom_grad: Tensor, mask_grad: Tensor, **settings: int
) -> None:
    """The gradients of :func:`carafe_naive_forward`, written into ``bottom_grad`` and ``mask_grad``."""
    write_gradients(
        lambda x, weights: _reassemble(x, weights, **settings), (features, masks), top_grad, (bottom_grad, mask_grad)
    )


def carafe_forward(
    features: Tensor, masks: Tensor, rfeatures: Tensor, routput: Tensor, rmasks: Tensor, output: Tensor, **settings: int
) -> None:
    """:func:`carafe_naive_forward`; mmcv's Python side passes ``rfeatures`` to the gradient instead of the input."""
    rfeatures.copy_(features)
    carafe_naive_forward(features, masks, output, **settings)


def carafe_backward(
    top_grad: Tensor,
    rfeatures: Tensor,
    masks: Tensor,
    rtop_grad: Tensor,
    rbottom_grad_hs: Tensor,
    rbottom_grad: Tensor,
    rmask_grad: Tensor,
    bottom_grad: Tensor,
    mask_grad: Tensor,
    **settings: int,
) -> None:
    """:func:`carafe_naive_backward`; the buffers of the compiled operator are not used."""
    carafe_naive_backward(top_grad, rfeatures, masks, bottom_grad, mask_grad, **settings)


def _reassemble(features: Tensor, masks: Tensor, kernel_size: int, group_size: int, scale_factor: int) -> Tensor:
    n, c, h, w = features.shape
    s, g, k = scale_factor, group_size, kernel_size**2
    # (N, groups, C / groups, k, H, 1, W, 1) source cells times (N, groups, 1, k, H, s, W, s) weights
    cells = F.unfold(features, kernel_size, padding=kernel_size // 2).view(n, g, c // g, k, h, 1, w, 1)
    weights = masks.view(n, g, 1, k, h, s, w, s)
    out = torch.zeros(n, g, c // g, h, s, w, s, dtype=features.dtype, device=features.device)
    for index in range(k):  # the loop has one product in memory instead of k
        out = out + cells[:, :, :, index] * weights[:, :, :, index]
    return out.view(n, c, h * s, w * s)
