"""ShuffleNet V2 as a detection backbone.

Paper: ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design (Ma, Zhang, Zheng, Sun, ECCV 2018,
https://arxiv.org/abs/1807.11164), section 3.2 and table 5. Parameter names and outputs are those of torchvision's
``shufflenet_v2_*``, whose weights load unchanged. With ``variant='authors'`` the outputs are those of the authors' own
release. :mod:`...checkpoints.shufflenet_layouts` reads the checkpoints of other code bases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ...checkpoints.shufflenet_layouts import convert_state_dict
from ...compat.private import BatchNorm
from ...utils.errors import UserError
from .architectures import VARIANTS, Architecture, get_architecture
from .norm_eval import set_batch_norms_to_eval
from .shuffle_unit import AuthorsBasicUnit, AuthorsDownsampleUnit, BasicUnit, DownsampleUnit, UnitStyle, conv_norm

__all__ = ['FeatureInfo', 'ShuffleNetV2']


@dataclass(frozen=True)
class FeatureInfo:
    """One output of the backbone: its value in ``out_indices``, its channels, and its stride in input pixels."""

    index: int
    channels: int
    stride: int


# Activations that may overwrite their input: the preceding norm does not need it for its gradient.
_INPLACE_ACTIVATIONS = ('ReLU', 'ReLU6', 'LeakyReLU')


@MODELS.register_module()
class ShuffleNetV2(BaseModule):
    """ShuffleNet V2 without its classifier.

    Only the parts that the selected outputs need are built, so every parameter gets a gradient.

    Args:
        widen_factor: Width of the network: 0.5, 1.0, 1.5 or 2.0 (table 5).
        stage_channels: Channels of stage2, stage3 and stage4 instead of the table's; even numbers. conv5 keeps the
            width of ``widen_factor``.
        out_indices: Outputs to return, in ascending order: 0 the stem (stride 4), 1 stage2 (8), 2 stage3 (16),
            3 stage4 (32), 4 conv5 (32; 1024 channels, 2048 at 2.0x).
        frozen_stages: The last frozen part: -1 none, 0 the stem, 1 the stem and stage2, up to 4. A frozen part has no
            gradient and its norms stay in eval mode.
        conv_cfg: Config of the convolutions. None means ``Conv2d``.
        norm_cfg: Config of the norms, such as ``dict(type='BN')``, ``dict(type='SyncBN')`` or
            ``dict(type='GN', num_groups=2)``.
        act_cfg: Config of the activations.
        norm_eval: Keep all batch norms in eval mode while training.
        with_cp: Recompute each unit in the backward pass instead of keeping its activations (less memory, more time).
        init_cfg: MMEngine's initialization config, such as
            ``dict(type='Pretrained', checkpoint='torchvision://shufflenet_v2_x1_0.imagenet1k_v1')``.
        variant: ``'torchvision'``: both branches of a downsampling unit give half of its output. ``'authors'``: the
            released network, with the multiply-adds of the paper. See :mod:`.shuffle_unit`.
        depth: 50 for the deep ShuffleNet V2-50 of the appendix: a stem of 64 channels, four stages (stage2 at stride 4
            to stage5 at 32), conv6. None for the networks of table 5.
        strides: Stride of each stage, 2 by default. ``(2, 2, 1)`` keeps stage4 at stride 16.
        dilations: Dilation of each stage's depthwise convolutions, such as ``(1, 1, 2)``.
        large_receptive_field: ShuffleNet V2* (section 4): an additional depthwise 3x3 convolution before the first
            pointwise convolution of each unit.
        with_se: A squeeze-and-excitation gate in the main branch of each unit (table 8 and the appendix).
        with_residual: A shortcut around the main branch of each unit with stride 1 (appendix, for very deep networks).

    Attributes:
        feature_info: One :class:`FeatureInfo` per output, in order.

    Raises:
        UserError: (a ``ValueError``) If an argument is out of range, or if loaded weights belong to another network.

    Example:
        >>> import torch
        >>> from mmdet_shufflenetv2 import ShuffleNetV2
        >>> backbone = ShuffleNetV2(widen_factor=1.0, out_indices=(1, 2, 3)).eval()
        >>> [tuple(feature.shape) for feature in backbone(torch.rand(1, 3, 64, 96))]
        [(1, 116, 8, 12), (1, 232, 4, 6), (1, 464, 2, 3)]
        >>> [(info.channels, info.stride) for info in backbone.feature_info]
        [(116, 8), (232, 16), (464, 32)]
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        stage_channels: Sequence[int] | None = None,
        out_indices: Sequence[int] = (1, 2, 3),
        frozen_stages: int = -1,
        conv_cfg: dict[str, Any] | None = None,
        norm_cfg: dict[str, Any] | None = None,
        act_cfg: dict[str, Any] | None = None,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
        *,
        variant: str = 'torchvision',
        depth: int | None = None,
        strides: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        large_receptive_field: bool = False,
        with_se: bool = False,
        with_residual: bool = False,
    ) -> None:
        super().__init__(init_cfg)
        if variant not in VARIANTS:
            raise UserError(f'Unknown variant={variant!r}: allowed are {", ".join(map(repr, VARIANTS))}.')
        net = get_architecture(widen_factor, depth, stage_channels, strides, dilations)
        self.variant = variant
        self.architecture = net
        self.out_indices = _checked_out_indices(out_indices, net)
        self.frozen_stages = _checked_frozen_stages(frozen_stages, net)
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        self.feature_info = tuple(FeatureInfo(i, net.channels[i], net.feature_strides[i]) for i in self.out_indices)

        act_cfg = dict(act_cfg or dict(type='ReLU'))
        if act_cfg['type'] in _INPLACE_ACTIVATIONS:
            act_cfg.setdefault('inplace', True)
        style = UnitStyle(conv_cfg, norm_cfg or dict(type='BN'), act_cfg, large_receptive_field, with_se, with_residual)

        self.conv1 = nn.Sequential(*conv_norm(3, net.stem, 3, style, stride=2))
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        #: Names of the parts after the stem, in order.
        self.part_names = net.part_names[: self.out_indices[-1]]
        for index, name in enumerate(self.part_names):
            self.add_module(
                name,
                self._stage(index, style)
                if name.startswith('stage')
                else nn.Sequential(*conv_norm(net.stages[-1], net.last, 1, style)),
            )

        for part in self._frozen_parts():
            part.requires_grad_(False)
        self.train()

    def _stage(self, index: int, style: UnitStyle) -> nn.Sequential:
        net = self.architecture
        in_channels, channels, dilation = net.channels[index], net.stages[index], net.dilations[index]
        first_unit, unit = (DownsampleUnit, BasicUnit)
        if self.variant == 'authors':
            first_unit, unit = (AuthorsDownsampleUnit, AuthorsBasicUnit)
            if channels <= in_channels:
                raise UserError(
                    f"With variant='authors' each stage must have more channels than its input: "
                    f'{net.part_names[index]} has {channels} channels, its input {in_channels}. Increase '
                    f"stage_channels, or set variant='torchvision'."
                )
        return nn.Sequential(
            first_unit(in_channels, channels, style, stride=net.strides[index], dilation=dilation),
            *(unit(channels, style, dilation=dilation) for _ in range(net.depths[index] - 1)),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the features of normalized images.

        Args:
            x: ``(N, 3, H, W)``, H and W at least 32.

        Returns:
            One ``(N, channels, ceil(H / stride), ceil(W / stride))`` tensor per entry of ``out_indices``.
        """
        x = self.maxpool(self.conv1(x))
        outs = [x] if 0 in self.out_indices else []
        for index, name in enumerate(self.part_names, start=1):
            part = getattr(self, name)
            for unit in part if name.startswith('stage') else (part,):
                x = self._run(unit, x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def _run(self, unit: nn.Module, x: Tensor) -> Tensor:
        if not (self.with_cp and self.training and torch.is_grad_enabled()):
            return unit(x)
        return checkpoint(unit, x, use_reentrant=False, context_fn=lambda: (nullcontext(), _frozen_running_stats(unit)))

    def train(self, mode: bool = True) -> ShuffleNetV2:
        """Set the mode; frozen parts and, with ``norm_eval``, all batch norms stay in eval mode."""
        super().train(mode)
        for part in self._frozen_parts():
            part.eval()
        if self.norm_eval:
            set_batch_norms_to_eval(self)
        return self

    def _frozen_parts(self) -> list[nn.Module]:
        parts = ['conv1', *self.part_names]
        return [getattr(self, name) for name in parts[: self.frozen_stages + 1]]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Every way of loading calls this: load_state_dict, init_cfg, load_from, resume.
        convert_state_dict(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _checked_out_indices(out_indices: Sequence[int], net: Architecture) -> tuple[int, ...]:
    indices = tuple(out_indices) if isinstance(out_indices, (tuple, list)) else (out_indices,)
    if not indices or any(i not in range(len(net.channels)) for i in indices) or list(indices) != sorted(set(indices)):
        outputs = enumerate(zip(['the stem', *net.part_names], net.feature_strides))
        allowed = ', '.join(f'{i} ({name}, stride {stride})' for i, (name, stride) in outputs)
        raise UserError(
            f'Invalid out_indices={out_indices!r}: expected numbers in ascending order, out of {allowed}. '
            f'Example: (1, 2, 3).'
        )
    return indices


def _checked_frozen_stages(frozen_stages: int, net: Architecture) -> int:
    if frozen_stages not in range(-1, len(net.channels)):
        parts = ', '.join(f'{i} (and {name})' for i, name in enumerate(net.part_names, start=1))
        raise UserError(
            f'Invalid frozen_stages={frozen_stages!r}: allowed are -1 (nothing frozen), 0 (the stem), {parts}.'
        )
    return frozen_stages


@contextmanager
def _frozen_running_stats(unit: nn.Module) -> Iterator[None]:
    """Keep the running statistics while a unit is recomputed: the first pass has already updated them."""
    norms = [m for m in unit.modules() if isinstance(m, BatchNorm) and m.training]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    # With track_running_stats=False the recomputation would save other tensors than the first pass.
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, kept):
            norm.momentum, norm.num_batches_tracked = momentum, count
