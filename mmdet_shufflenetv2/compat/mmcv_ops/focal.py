"""Focal loss (Lin et al., ICCV 2017) on sigmoid logits and on softmax probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

from ._kernels import to_kernel_dtype

__all__ = [
    'sigmoid_focal_loss_backward',
    'sigmoid_focal_loss_forward',
    'softmax_focal_loss_backward',
    'softmax_focal_loss_forward',
]


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Compute the focal loss on sigmoid logits (Lin et al., ICCV 2017, equation 5), one value per logit.

    Args:
        input: ``(N, C)`` logits.
        target: ``(N,)`` int64 class of each row; C means background.
        weight: ``(C,)`` weight per class, or empty.
        output: ``(N, C)``, filled.
        gamma: Focusing exponent.
        alpha: Weight of the positive class.
    """
    p, log_p, log_rest, positive = _focal_parts(input, target)
    loss = torch.where(positive, -alpha * (1 - p) ** gamma * log_p, -(1 - alpha) * p**gamma * log_rest)
    output.copy_(_times_class_weight(loss, target, weight))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Write d loss / d logit of :func:`sigmoid_focal_loss_forward` into ``grad_input`` ``(N, C)``."""
    p, log_p, log_rest, positive = _focal_parts(input, target)
    grad = torch.where(
        positive,
        -alpha * (1 - p) ** gamma * (1 - p - gamma * p * log_p),
        -(1 - alpha) * p**gamma * (gamma * (1 - p) * log_rest - p),
    )
    grad_input.copy_(_times_class_weight(grad, target, weight))


def _focal_parts(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``(N, C)`` probabilities p, log(p), log(1 - p), and the mask of the row's class."""
    p = to_kernel_dtype(input).sigmoid()
    # The smallest normal number keeps log() finite, as in the compiled kernel.
    tiny = torch.finfo(p.dtype).tiny
    positive = target[:, None] == torch.arange(input.size(1), device=input.device)
    return p, p.clamp(min=tiny).log(), (1 - p).clamp(min=tiny).log(), positive


def _times_class_weight(values: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    if weight.numel() == 0:
        return values
    # Background rows (target C) have weight 1.
    table = torch.cat((weight.to(values.dtype), weight.new_ones(1, dtype=values.dtype)))
    return values * table[target.clamp(max=weight.numel())][:, None]


def softmax_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Compute the focal loss on softmax probabilities, one value per row.

    Args:
        input: ``(N, C)`` probabilities (mmcv's Python side has applied the softmax).
        target: ``(N,)`` int64 class of each row; negative for rows without loss.
        weight: ``(C,)`` weight per class, or empty.
        output: ``(N,)``, filled.
        gamma, alpha: As in :func:`sigmoid_focal_loss_forward`.
    """
    p, factor = _true_class(input, target, weight)
    output.copy_(-alpha * (1 - p) ** gamma * p.clamp(min=torch.finfo(p.dtype).tiny).log() * factor)


def softmax_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, buff: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Write d loss / d logit of :func:`softmax_focal_loss_forward` into ``grad_input`` ``(N, C)``.

    As in the compiled operator, ``buff`` ``(N,)`` is filled with d loss / d log p.
    """
    p, factor = _true_class(input, target, weight)
    log_p = p.clamp(min=torch.finfo(p.dtype).tiny).log()
    buff.copy_(alpha * (gamma * (1 - p) ** (gamma - 1) * p * log_p - (1 - p) ** gamma) * factor)
    true_class = target[:, None] == torch.arange(input.size(1), device=input.device)
    grad_input.copy_(buff[:, None] * (true_class.to(input.dtype) - input))


def _true_class(probabilities: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """``(N,)`` probabilities of the rows' classes and their weights, 0 for rows without loss."""
    label = target.clamp(min=0)
    p = probabilities.gather(1, label[:, None])[:, 0]
    factor = (target >= 0).to(p.dtype)
    return p, factor * weight[label] if weight.numel() else factor
