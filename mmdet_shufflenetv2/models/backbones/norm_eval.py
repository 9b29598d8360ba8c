"""Batch norms whose running statistics stay fixed during training."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from ...compat.private import BatchNorm

__all__ = ['folded_norms', 'set_batch_norms_to_eval']

# The variance of a folded batch norm is 1 - eps, with an eps of 1e-3 or less.
_TOLERANCE = 2e-3


def set_batch_norms_to_eval(network: nn.Module) -> None:
    """Set all batch norms of a network, also ``SyncBN``, to eval mode: they normalize with their running statistics."""
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.eval()


def folded_norms(network: nn.Module) -> Iterator[tuple[str, BatchNorm]]:
    """Yield name and module of each batch norm that was folded into the preceding convolution.

    Such a norm has a mean of 0 and a variance of 1 in every channel, which does not occur in training, and still adds
    a bias. An untrained norm has the same statistics, but its bias is the same in all channels.
    """
    for name, norm in network.named_modules():
        if not isinstance(norm, BatchNorm):
            continue
        mean, var, bias = norm.running_mean, norm.running_var, norm.bias
        if mean is None or var is None or bias is None:
            continue
        if not mean.any() and bool(((var - 1).abs() < _TOLERANCE).all() and (bias != bias[0]).any()):
            yield name, norm
