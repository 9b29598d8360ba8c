"""Training with the statistics of the norms as they are."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from ...compat.private import BatchNorm

__all__ = ['batch_norms_to_eval', 'folded_norms']

# Folded with an epsilon of 1e-3 or less, a variance is 1 minus that.
_NEARLY_ONE = 2e-3


def batch_norms_to_eval(network: nn.Module) -> None:
    """Put all batch norms of a network (``SyncBN`` too) in eval mode: they normalise by what they have gathered."""
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.eval()


def folded_norms(network: nn.Module) -> Iterator[tuple[str, BatchNorm]]:
    """Name and module of the batch norms that were folded into the convolutions in front of them.

    Their mean is 0 and their variance 1 in every channel, which no data give, and they still add a bias. A norm that
    was not trained yet has such statistics, too; its bias, however, is the same in all channels.
    """
    for name, norm in network.named_modules():
        if isinstance(norm, BatchNorm) and norm.running_mean is not None and norm.bias is not None:
            untouched = not norm.running_mean.any() and bool(((norm.running_var - 1).abs() < _NEARLY_ONE).all())
            if untouched and bool((norm.bias != norm.bias[0]).any()):
                yield name, norm
