"""Start from a detector with other classes: re-initialize its class layers, load everything else."""

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

__all__ = ['ReinitClassLayersHook', 'has_same_num_classes', 'reinit_class_layers']


class ReinitClassLayersHook(Hook):
    """Allows ``load_from`` to be a detector with another number of classes, and logs the re-initialized layers."""

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Replace class layers of another number of classes by the model's own."""
        model = unwrap_model(runner.model)
        weights = unwrap_weights(checkpoint, model.state_dict().keys())
        if weights is not checkpoint:
            checkpoint['state_dict'] = weights
        from_nanodet = isinstance(model, NanoDet) and is_nanodet(weights)
        if from_nanodet:
            weights = checkpoint['state_dict'] = to_our_keys(weights)
        layers = reinit_class_layers(model, weights)
        if from_nanodet:
            check_fit(model.state_dict(), weights)
        if layers:
            print_log(
                f'The weights have another number of classes. Re-initialized class outputs: '
                f'{", ".join(layers)}. All other weights are loaded.',
                logger='current',
            )


def has_same_num_classes(model_cfg: dict[str, Any], checkpoint: dict[str, Any]) -> bool:
    """Whether a checkpoint and a model config have the same number of classes."""
    model = build_model(model_cfg)
    weights = unwrap_weights(checkpoint, model.state_dict().keys())
    weights = to_our_keys(weights) if isinstance(model, NanoDet) and is_nanodet(weights) else weights
    return not reinit_class_layers(model, dict(weights))


def reinit_class_layers(model: nn.Module, weights: dict[str, Any]) -> list[str]:
    """Replace, in place, tensors in ``weights`` for another number of classes by the model's own values.

    These are the tensors of heads with ``num_classes`` that differ only in their first dimension. If a layer has box
    outputs after the class outputs, as NanoDet's does, the box outputs keep the loaded weights.

    Returns:
        Names of the layers.
    """
    own = model.state_dict()
    layers: dict[str, None] = {}
    for name, head in model.named_modules():
        if not isinstance(getattr(head, 'num_classes', None), int) or isinstance(head, RPNHead):
            continue
        boxes = getattr(head, 'box_channels', 0)
        for key in (key for key in own if key.startswith(f'{name}.') and isinstance(weights.get(key), Tensor)):
            given, expected = weights[key], own[key]
            if given.shape == expected.shape or given.shape[1:] != expected.shape[1:] or not given.dim():
                continue
            replacement = expected.clone()
            if boxes:
                replacement[-boxes:] = given[-boxes:]
            weights[key] = replacement
            layers[key.rsplit('.', 1)[0]] = None
    return list(layers)
