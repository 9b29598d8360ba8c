"""Starting from a detector of other classes: its class layers are left out, everything else is taken."""

from __future__ import annotations

from typing import Any

from mmdet.models.dense_heads import RPNHead
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import Tensor, nn

from ..checkpoints.nanodet_layout import check_fit, is_nanodet, to_our_keys
from ..checkpoints.unwrap import unwrap_weights
from .build import build_model
from .nanodet.detector import NanoDet
from .unwrap import unwrap_model

__all__ = ['KeepClassLayersHook', 'fits_class_layers', 'keep_class_layers']


class KeepClassLayersHook(Hook):
    """Lets ``load_from`` name a detector of another number of classes, and says so on one line."""

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Put the model's own values where a checkpoint's class layers do not fit."""
        model = unwrap_model(runner.model)
        weights = unwrap_weights(checkpoint, model.state_dict().keys())
        if weights is not checkpoint:
            checkpoint['state_dict'] = weights
        from_nanodet = isinstance(model, NanoDet) and is_nanodet(weights)
        if from_nanodet:
            weights = checkpoint['state_dict'] = to_our_keys(weights)
        kept = keep_class_layers(model, weights)
        if from_nanodet:
            check_fit(model.state_dict(), weights)
        if kept:
            print_log(f'The weights are of another number of classes: the class outputs of {", ".join(kept)} start '
                      f'anew, everything else is loaded.', logger='current')


def fits_class_layers(model_cfg: dict[str, Any], checkpoint: dict[str, Any]) -> bool:
    """Whether a checkpoint's weights are of as many classes as the heads of a model config."""
    model = build_model(model_cfg)
    weights = unwrap_weights(checkpoint, model.state_dict().keys())
    weights = to_our_keys(weights) if isinstance(model, NanoDet) and is_nanodet(weights) else weights
    return not keep_class_layers(model, dict(weights))


def keep_class_layers(model: nn.Module, weights: dict[str, Any]) -> list[str]:
    """Replace, in place, what in ``weights`` is of another number of classes by the model's own values.

    These are the tensors of heads with ``num_classes`` that differ in their first dimension alone. Where a layer gives
    boxes behind the classes, as NanoDet's does, those outputs are taken over.

    Returns:
        The layers.
    """
    own = model.state_dict()
    layers: dict[str, None] = {}
    for name, head in model.named_modules():
        if not isinstance(getattr(head, 'num_classes', None), int) or isinstance(head, RPNHead):
            continue
        boxes = getattr(head, 'box_channels', 0)
        for key in (key for key in own if key.startswith(f'{name}.') and isinstance(weights.get(key), Tensor)):
            given, wanted = weights[key], own[key]
            if given.shape == wanted.shape or given.shape[1:] != wanted.shape[1:] or not given.dim():
                continue
            fresh = wanted.clone()
            if boxes:
                fresh[-boxes:] = given[-boxes:]
            weights[key] = fresh
            layers[key.rsplit('.', 1)[0]] = None
    return list(layers)
