"""The model of a run, whether or not it is wrapped for several processes."""

from __future__ import annotations

from mmengine.model import is_model_wrapper
from torch import nn

__all__ = ['unwrap_model']


def unwrap_model(model: nn.Module) -> nn.Module:
    """The model inside MMEngine's or PyTorch's wrapper for data-parallel training; itself where it has none."""
    return model.module if is_model_wrapper(model) else model
