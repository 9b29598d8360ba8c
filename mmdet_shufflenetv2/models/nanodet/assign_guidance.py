"""The assign guidance of NanoDet-Plus: an auxiliary neck and a larger head, for training only.

The predictions of a small detector are too poor to decide which cell should learn which box. The auxiliary head has
twice the channels and the same targets. Its predictions decide the assignment for both heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import build_activation_layer
from mmdet.models.dense_heads import GFLHead
from mmdet.registry import HOOKS, MODELS
from mmengine.hooks import Hook
from mmengine.model import BaseModule
from mmengine.runner import Runner
from torch import Tensor

from ..unwrap import unwrap_model
from .plus_head import NanoDetPlusHead

__all__ = ['AssignGuidance', 'AssignGuidanceHead', 'AssignGuidanceHook']


@MODELS.register_module()
class AssignGuidanceHead(NanoDetPlusHead):
    """The auxiliary head: MMDetection's ``GFLHead``, whose levels share towers, with the losses of NanoDet-Plus.

    Its arguments are those of :class:`.NanoDetPlusHead`.
    """

    #: Box outputs in the class layer: none, distances have their own layer.
    box_channels = 0

    forward = GFLHead.forward
    forward_single = GFLHead.forward_single

    def _init_layers(self) -> None:
        GFLHead._init_layers(self)
        for conv in (*self.cls_convs, *self.reg_convs):
            conv.activate = build_activation_layer(self.act_cfg)


class AssignGuidance(BaseModule):
    """Auxiliary neck and head (NanoDet, ``nanodet/model/arch/nanodet_plus.py`` and ``head/simple_conv_head.py``).

    The auxiliary head reads the outputs of both necks.

    Args:
        neck, bbox_head: Configs of the detector's neck and head.
        stacked_convs: Convolutions in each of the auxiliary head's two towers.
        norm_cfg: Config of their norms; GroupNorm with 32 groups by default.
    """

    def __init__(
        self,
        neck: dict[str, Any],
        bbox_head: dict[str, Any],
        stacked_convs: int = 4,
        norm_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        width = 2 * bbox_head['in_channels']
        self.neck = MODELS.build(neck)
        self.head = MODELS.build(
            dict(
                bbox_head,
                type='AssignGuidanceHead',
                in_channels=width,
                feat_channels=width,
                stacked_convs=stacked_convs,
                norm_cfg=norm_cfg or dict(type='GN', num_groups=32, requires_grad=True),
            )
        )
        #: Whether its gradients stop before the detector; set by :class:`AssignGuidanceHook`.
        self.detached = False

    def forward(self, features: Sequence[Tensor], levels: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Compute the raw outputs of the auxiliary head, with the shapes of :meth:`.NanoDetHead.forward`.

        Args:
            features: Outputs of the backbone, one ``(N, C_i, H_i, W_i)`` per stage.
            levels: Outputs of the detector's neck, one ``(N, in_channels, H_i, W_i)`` per level.
        """
        if self.detached:
            features, levels = ([x.detach() for x in xs] for xs in (features, levels))
        return self.head([torch.cat(pair, dim=1) for pair in zip(levels, self.neck(features), strict=True)])


@HOOKS.register_module()
class AssignGuidanceHook(Hook):
    """Detaches the guidance from the detector after some epochs, and removes it from checkpoints for inference.

    A checkpoint without an optimizer state, such as the best one, cannot be resumed and is for inference.

    Args:
        switch_epoch: Number of epochs in which the gradients of the auxiliary head reach the detector.
    """

    priority = 'VERY_LOW'  # after the hook that swaps the weights with their moving average

    def __init__(self, switch_epoch: int = 10) -> None:
        self.switch_epoch = switch_epoch

    def before_train_epoch(self, runner: Runner) -> None:
        if (guidance := getattr(unwrap_model(runner.model), 'assign_guidance', None)) is not None:
            guidance.detached = runner.epoch >= self.switch_epoch

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if 'optimizer' not in checkpoint:
            for weights in (checkpoint[key] for key in ('state_dict', 'ema_state_dict') if key in checkpoint):
                for key in [key for key in weights if 'assign_guidance.' in key]:
                    del weights[key]
