"""Building a whole model, or a part of one, outside of a training run."""

from __future__ import annotations

import os
from typing import Any

from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from mmengine.model import PretrainedInit, revert_sync_batchnorm
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from ..checkpoints.mismatch import weights_mismatch
from ..checkpoints.unwrap import unwrap_weights
from ..compat.registry_errors import registry_errors
from ..utils.errors import UserError

__all__ = ['build_model', 'load_weights']


def build_model(cfg: dict[str, Any], weights: str | os.PathLike | None = None, *,
                for_training: bool = False) -> nn.Module:
    """A model on the CPU, in eval mode. Nothing is downloaded but the weights that are named.

    Args:
        cfg: ``cfg.model`` of a config, or the config of a part such as its backbone; it is not changed.
        weights: A checkpoint's file or address. It must hold all weights and no others. None leaves the
            model with random weights. Files that an ``init_cfg`` names are left out either way.
        for_training: Also build what the model has for training only (``train_cfg``).

    Raises:
        UserError: If the config cannot be built or the weights are of another model.
    """
    register_all_modules(init_default_scope=True)
    with registry_errors():
        cfg = ConfigDict(_without_pretrained(cfg))
        if 'train_cfg' in cfg and not for_training:
            cfg.train_cfg = None
        model = revert_sync_batchnorm(MODELS.build(cfg))
    model.eval()  # mmdet's backbones do not return themselves
    if weights is None:
        return model
    loaded = CheckpointLoader.load_checkpoint(str(weights), map_location='cpu')
    if not isinstance(loaded, dict):
        raise UserError(f'{weights} holds a {type(loaded).__name__}, not the weights of a model.')
    load_weights(model, loaded, str(weights))
    return model


def load_weights(model: nn.Module, checkpoint: dict[str, Any], name: str) -> None:
    """Load all weights of a model, out of whatever wraps them.

    Args:
        model: Changed in place.
        checkpoint: As it was loaded.
        name: What messages call it.

    Raises:
        UserError: If the weights are of another model.
    """
    try:
        model.load_state_dict(unwrap_weights(checkpoint, model.state_dict().keys()))
    except (RuntimeError, AttributeError, TypeError) as error:
        raise weights_mismatch(name, error) from error


def _without_pretrained(cfg: Any) -> Any:
    """A copy of a config in which no ``init_cfg`` names a file; those of random weights stay."""
    if isinstance(cfg, dict):
        copied = {key: _without_pretrained(value) for key, value in cfg.items()}
        if (init_cfg := copied.get('init_cfg')) is not None:
            entries = [init_cfg] if isinstance(init_cfg, dict) else list(init_cfg)
            kept = [entry for entry in entries if entry.get('type') not in ('Pretrained', PretrainedInit)]
            copied['init_cfg'] = init_cfg if len(kept) == len(entries) else kept or None
        return copied
    return type(cfg)(map(_without_pretrained, cfg)) if type(cfg) in (list, tuple) else cfg
