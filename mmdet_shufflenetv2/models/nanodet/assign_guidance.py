"""What NanoDet-Plus learns with and does without afterwards: a second neck and a larger head that guide the assignment.

A small detector is a poor judge of which cell should learn which box. The auxiliary head sees twice the channels and
learns the same; cells are matched with boxes by what it predicts, for both heads.
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
    """The auxiliary head: MMDetection's ``GFLHead``, its towers shared by all levels, with the losses of NanoDet-Plus.

    Its arguments are those of :class:`.NanoDetPlusHead`.
    """

    #: None in the layer of classes; distances have one of their own.
    box_channels = 0

    forward = GFLHead.forward
    forward_single = GFLHead.forward_single

    def _init_layers(self) -> None:
        GFLHead._init_layers(self)
        for conv in (*self.cls_convs, *self.reg_convs):
            conv.activate = build_activation_layer(self.act_cfg)


class AssignGuidance(BaseModule):
    """Auxiliary neck and head (NanoDet, ``nanodet/model/arch/nanodet_plus.py`` and ``head/simple_conv_head.py``).

    Both are configured by those of the detector. The head reads the detector's features beside the auxiliary neck's.

    Args:
        neck, bbox_head: Configs of the detector's.
        stacked_convs: Convolutions in each of the auxiliary head's two towers.
        norm_cfg: Of these; GroupNorm of 32 groups by default.
    """

    def __init__(self, neck: dict[str, Any], bbox_head: dict[str, Any], stacked_convs: int = 4,
                 norm_cfg: dict | None = None) -> None:
        super().__init__()
        width = 2 * bbox_head['in_channels']
        self.neck = MODELS.build(neck)
        self.head = MODELS.build(dict(
            bbox_head, type='AssignGuidanceHead', in_channels=width, feat_channels=width, stacked_convs=stacked_convs,
            norm_cfg=norm_cfg or dict(type='GN', num_groups=32, requires_grad=True)))
        #: Whether it learns without teaching the detector; :class:`AssignGuidanceHook` decides.
        self.detached = False

    def forward(self, features: Sequence[Tensor], levels: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Raw outputs of the auxiliary head, in the shapes of :meth:`.NanoDetHead.forward`.

        Args:
            features: The backbone's, one ``(N, C_i, H_i, W_i)`` a stage.
            levels: The detector's neck's, one ``(N, in_channels, H_i, W_i)`` a level.
        """
        if self.detached:
            features, levels = ([x.detach() for x in xs] for xs in (features, levels))
        return self.head([torch.cat(pair, dim=1) for pair in zip(levels, self.neck(features), strict=True)])


@HOOKS.register_module()
class AssignGuidanceHook(Hook):
    """Ends the influence of the guidance on the detector after some epochs, and keeps it out of what is for inference.

    A checkpoint without the state of an optimizer, such as the best one, cannot be resumed and is for inference.

    Args:
        switch_epoch: Epochs in which the gradients of the auxiliary head reach the detector.
    """

    priority = 'VERY_LOW'  # behind the hook that exchanges the weights with their average

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
