"""Build a model, or a part of one, outside a training run."""

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


def build_model(
    cfg: dict[str, Any], weights: str | os.PathLike[str] | None = None, *, for_training: bool = False
) -> nn.Module:
    """Build a model on the CPU, in eval mode. Only ``weights`` are downloaded.

    Args:
        cfg: ``cfg.model`` of a config, or the config of a part such as its backbone. It is not changed.
        weights: File or URL of a checkpoint, which must contain exactly the weights of the model. None: the weights
            are random. Checkpoints in an ``init_cfg`` are ignored in both cases.
        for_training: Also build the parts that only training needs (``train_cfg``).

    Raises:
        UserError: If the config cannot be built, or if the weights belong to another model.
    """
    register_all_modules(init_default_scope=True)
    with registry_errors():
        cfg = ConfigDict(_without_pretrained(cfg))
        if 'train_cfg' in cfg and not for_training:
            cfg['train_cfg'] = None
        model = revert_sync_batchnorm(MODELS.build(cfg))
    model.eval()  # mmdet's backbones do not return themselves
    if weights is None:
        return model
    loaded = CheckpointLoader.load_checkpoint(str(weights), map_location='cpu')
    if not isinstance(loaded, dict):
        raise UserError(f'Expected the weights of a model in {weights}, got a {type(loaded).__name__}.')
    load_weights(model, loaded, str(weights))
    return model


def load_weights(model: nn.Module, checkpoint: dict[str, Any], name: str) -> None:
    """Load all weights of a model from a checkpoint, in whichever layout it has them.

    Args:
        model: The model, changed in place.
        checkpoint: Content of the checkpoint file.
        name: Name of the checkpoint in messages.

    Raises:
        UserError: If the weights belong to another model.
    """
    try:
        model.load_state_dict(unwrap_weights(checkpoint, model.state_dict().keys()))
    except (RuntimeError, AttributeError, TypeError) as error:
        raise weights_mismatch(name, error) from error


def _without_pretrained(cfg: Any) -> Any:
    """Copy a config without each ``init_cfg`` that loads a checkpoint; those for random weights are kept."""
    if isinstance(cfg, dict):
        copied = {key: _without_pretrained(value) for key, value in cfg.items()}
        if (init_cfg := copied.get('init_cfg')) is not None:
            entries = [init_cfg] if isinstance(init_cfg, dict) else list(init_cfg)
            kept = [entry for entry in entries if entry.get('type') not in ('Pretrained', PretrainedInit)]
            copied['init_cfg'] = init_cfg if len(kept) == len(entries) else kept or None
        return copied
    return type(cfg)(map(_without_pretrained, cfg)) if type(cfg) in (list, tuple) else cfg
