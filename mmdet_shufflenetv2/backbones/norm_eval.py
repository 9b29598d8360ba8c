"""Training with the statistics of the norms as they are."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ['batch_norms_to_eval']


def batch_norms_to_eval(network: nn.Module) -> None:
    """Put all batch norms of a network (``SyncBN`` too) in eval mode: they normalise by what they have gathered."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
