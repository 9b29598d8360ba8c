"""Fusion of batch norms into convolutions, and permutation of a convolution's channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..compat.private import BatchNorm, has_forward_hooks, has_forward_pre_hooks
from ..utils.errors import UserError
from .channel_plan import UNUSED

__all__ = ['absorb_order', 'check_conv', 'fuse_conv_bn', 'permute_channels', 'permute_depthwise', 'plain_activation']

# Element-wise activations: they do not depend on the order of channels.
_ELEMENTWISE = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.SiLU,
    nn.GELU,
    nn.ELU,
    nn.Hardswish,
    nn.Hardtanh,
    nn.Mish,
    nn.Sigmoid,
    nn.Hardsigmoid,
    nn.Tanh,
)


def fuse_conv_bn(conv: Any, norm: nn.Module) -> nn.Conv2d:
    """One convolution with bias that equals ``norm(conv(x))`` in eval mode.

    Raises:
        UserError: If it is not a plain convolution, or not a batch norm with running statistics.
    """
    check_conv(conv)
    if not isinstance(norm, BatchNorm) or norm.running_mean is None:
        raise UserError(
            f'A {type(norm).__name__} cannot be fused into a convolution, because it depends on the image: '
            f'expected batch norm with running statistics (BN or SyncBN).'
        )
    fused: nn.Conv2d = fuse_conv_bn_eval(conv, norm)
    return fused


def check_conv(conv: nn.Module) -> None:
    """Raise a :class:`UserError` unless it is a plain ``Conv2d`` without hooks.

    Subclasses, parametrizations (which create a subclass) and hooks may compute weight or output differently.
    ``torch.nn.utils.weight_norm`` and ``spectral_norm`` use hooks.
    """
    if type(conv) is not nn.Conv2d:
        raise UserError(f'A {type(conv).__name__} cannot be made shuffle-free: expected plain Conv2d (conv_cfg=None).')
    if has_forward_hooks(conv) or has_forward_pre_hooks(conv):
        raise UserError(
            'A Conv2d with a forward hook (such as weight_norm or spectral_norm) cannot be made '
            'shuffle-free. Remove it first: torch.nn.utils.remove_weight_norm, handle.remove().'
        )


def plain_activation(act: nn.Module) -> nn.Module:
    """The activation, if it is element-wise.

    Raises:
        UserError: If an output depends on more than one input value.
    """
    if not isinstance(act, _ELEMENTWISE):
        allowed = ', '.join(kind.__name__ for kind in _ELEMENTWISE)
        raise UserError(
            f'{type(act).__name__} cannot be used in the shuffle-free form, which reorders channels: '
            f'expected one of {allowed}.'
        )
    return act


def permute_channels(
    conv: nn.Conv2d, rows: Sequence[int] | None = None, columns: Sequence[int] | None = None
) -> nn.Conv2d:
    """A copy of a convolution without groups, with its channels in another order.

    Args:
        rows: Original output channel at each new index; ``UNUSED`` gives zeros. None keeps the order.
        columns: The same for input channels; ``UNUSED`` is an input channel that is ignored.

    Raises:
        UserError: If it has groups, or is not a plain convolution.
    """
    check_conv(conv)
    if conv.groups != 1:
        raise UserError(
            f'A convolution with groups={conv.groups} cannot be made shuffle-free: its channels cannot be '
            f'reordered. Expected groups=1.'
        )
    return _convolution(conv, _taken(_taken(conv.weight.detach(), rows, 0), columns, 1), rows)


def permute_depthwise(conv: nn.Conv2d, order: Sequence[int]) -> nn.Conv2d:
    """A copy of a depthwise convolution with its channels in another order; ``UNUSED`` outputs zeros.

    Raises:
        UserError: If it is not depthwise, with one output channel for each input channel.
    """
    if not conv.groups == conv.in_channels == conv.out_channels:
        raise UserError(
            f'A convolution with groups={conv.groups}, {conv.in_channels} input and {conv.out_channels} '
            f'output channels cannot be made shuffle-free: expected a depthwise convolution.'
        )
    return _convolution(conv, _taken(conv.weight.detach(), order, 0), order, groups=len(order))


def _convolution(like: Any, weight: Tensor, rows: Sequence[int] | None, groups: int = 1) -> nn.Conv2d:
    new = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        like.kernel_size,
        like.stride,
        like.padding,
        like.dilation,
        groups=groups,
        bias=like.bias is not None,
        padding_mode=like.padding_mode,
        device=weight.device,
        dtype=weight.dtype,
    )
    with torch.no_grad():
        new.weight.copy_(weight)
        if new.bias is not None:
            new.bias.copy_(_taken(like.bias.detach(), rows, 0))
    return new.requires_grad_(False)


def absorb_order(conv: nn.Conv2d, order: Sequence[int]) -> None:
    """Permute the input channels of a convolution without groups in place, for features in ``order``."""
    new = permute_channels(conv, columns=order)
    conv.weight, conv.in_channels = new.weight, new.in_channels


def _taken(tensor: Tensor, order: Sequence[int] | None, dim: int) -> Tensor:
    if order is None:
        return tensor
    index = torch.tensor(order, device=tensor.device)
    taken = tensor.index_select(dim, index.clamp(min=0))
    shape = [-1 if d == dim else 1 for d in range(tensor.dim())]
    return taken.masked_fill((index == UNUSED).view(shape), 0)
