"""The model inside a wrapper for data-parallel training."""

from __future__ import annotations

from mmengine.model import is_model_wrapper
from torch import nn

__all__ = ['unwrap_model']


def unwrap_model(model: nn.Module) -> nn.Module:
    """Return the model inside MMEngine's or PyTorch's wrapper for data-parallel training, or the model itself."""
    return model.get_submodule('module') if is_model_wrapper(model) else model
