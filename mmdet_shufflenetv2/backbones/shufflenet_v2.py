"""ShuffleNet V2 as a detection backbone.

Paper: ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design (Ma, Zhang, Zheng, Sun, ECCV 2018,
https://arxiv.org/abs/1807.11164), section 3.2 and table 5. Parameter names and outputs are those of torchvision's
``shufflenet_v2_*``, whose weights load unchanged; :mod:`.checkpoint_layouts` reads the files of other code bases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from ..errors import UserError
from .checkpoint_layouts import adopt_state_dict
from .shuffle_unit import BasicUnit, DownsampleUnit, conv_norm

__all__ = ['FeatureInfo', 'ShuffleNetV2']


class FeatureInfo(NamedTuple):
    """One output of the backbone: its place in ``out_indices``, its width, and input pixels a cell."""

    index: int
    channels: int
    stride: int


STEM_CHANNELS = 24

#: widen_factor -> channels of stage2, stage3, stage4, conv5 (table 5).
WIDTHS = {
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}

#: Units of stage2, stage3, stage4, the down-sampling one included (table 5).
DEPTHS = (4, 8, 4)

#: Input pixels a cell behind the stem, stage2, stage3, stage4, conv5.
STRIDES = (4, 8, 16, 32, 32)

# Activations that may overwrite their input: the norm in front of them does not need it for its gradient.
_INPLACE_ACTIVATIONS = ('ReLU', 'ReLU6', 'LeakyReLU')


@MODELS.register_module()
class ShuffleNetV2(BaseModule):
    """ShuffleNet V2 without its classifier.

    Only what the chosen outputs need is built, so every parameter gets a gradient.

    Args:
        widen_factor: Width of the network: 0.5, 1.0, 1.5 or 2.0 (table 5).
        stage_channels: Other widths of stage2, stage3 and stage4 than the table's; even numbers. conv5 keeps the width
            that ``widen_factor`` gives it.
        out_indices: Which outputs to return, ascending: 0 the stem (stride 4), 1 stage2 (8), 2 stage3 (16),
            3 stage4 (32), 4 conv5 (32; 1024 channels, 2048 at 2.0x).
        frozen_stages: The last frozen part: -1 none, 0 the stem, 1 the stem and stage2, up to 4. A frozen part has no
            gradient and its norms stay in eval mode.
        conv_cfg: Config of the convolutions; None for ``Conv2d``.
        norm_cfg: Config of the norms, such as ``dict(type='BN')``, ``dict(type='SyncBN')`` or
            ``dict(type='GN', num_groups=2)``.
        act_cfg: Config of the activations.
        norm_eval: Keep all batch norms in eval mode while training.
        with_cp: Recompute each unit in the backward pass instead of keeping its activations (less memory, more time).
        init_cfg: MMEngine's initialisation config, such as
            ``dict(type='Pretrained', checkpoint='torchvision://shufflenet_v2_x1_0.imagenet1k_v1')``.

    Attributes:
        feature_info: A :class:`FeatureInfo` an output, in order.

    Raises:
        UserError: (a ``ValueError``) If an argument is out of range, or, when weights are loaded, if they do not fit.

    Example:
        >>> import torch
        >>> from mmdet_shufflenetv2 import ShuffleNetV2
        >>> backbone = ShuffleNetV2(widen_factor=1.0, out_indices=(1, 2, 3)).eval()
        >>> [tuple(feature.shape) for feature in backbone(torch.rand(1, 3, 64, 96))]
        [(1, 116, 8, 12), (1, 232, 4, 6), (1, 464, 2, 3)]
        >>> [(info.channels, info.stride) for info in backbone.feature_info]
        [(116, 8), (232, 16), (464, 32)]
    """

    def __init__(self, widen_factor: float = 1.0, stage_channels: Sequence[int] | None = None,
                 out_indices: Sequence[int] = (1, 2, 3), frozen_stages: int = -1, conv_cfg: dict | None = None,
                 norm_cfg: dict | None = None, act_cfg: dict | None = None, norm_eval: bool = False,
                 with_cp: bool = False, init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg)
        channels = _part_channels(widen_factor, stage_channels)
        self.out_indices = _checked_out_indices(out_indices)
        if frozen_stages not in range(-1, len(STRIDES)):
            raise UserError(f'frozen_stages={frozen_stages!r} is out of range: allowed are -1 (nothing frozen), 0 (the '
                            f'stem), 1 (and stage2), 2 (and stage3), 3 (and stage4), 4 (and conv5).')
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        self.feature_info = tuple(FeatureInfo(i, channels[i], STRIDES[i]) for i in self.out_indices)

        norm_cfg = norm_cfg or dict(type='BN')
        act_cfg = dict(act_cfg or dict(type='ReLU'))
        if act_cfg['type'] in _INPLACE_ACTIVATIONS:
            act_cfg.setdefault('inplace', True)
        cfg = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)

        self.conv1 = nn.Sequential(*conv_norm(3, STEM_CHANNELS, 3, stride=2, **cfg))
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        #: Names of the parts behind the stem, in the order in which they run.
        self.part_names: list[str] = []
        last = self.out_indices[-1]
        for index, depth in enumerate(DEPTHS[:last], start=1):
            units = [DownsampleUnit(channels[index - 1], channels[index], **cfg)]
            units += [BasicUnit(channels[index], **cfg) for _ in range(depth - 1)]
            self._add_part(f'stage{index + 1}', nn.Sequential(*units))
        if last == 4:
            self._add_part('conv5', nn.Sequential(*conv_norm(channels[3], channels[4], 1, **cfg)))

        for part in self._frozen_parts():
            part.requires_grad_(False)
        self.train()

    def _add_part(self, name: str, part: nn.Module) -> None:
        self.add_module(name, part)
        self.part_names.append(name)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of normalised images.

        Args:
            x: ``(N, 3, H, W)``, H and W at least 32.

        Returns:
            One ``(N, channels, ceil(H / stride), ceil(W / stride))`` tensor an entry of ``out_indices``.
        """
        x = self.maxpool(self.conv1(x))
        outs = [x] if 0 in self.out_indices else []
        for index, name in enumerate(self.part_names, start=1):
            part = getattr(self, name)
            for unit in part if name.startswith('stage') else (part, ):
                x = self._run(unit, x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def _run(self, unit: nn.Module, x: Tensor) -> Tensor:
        if not (self.with_cp and self.training and torch.is_grad_enabled()):
            return unit(x)
        return checkpoint(
            unit, x, use_reentrant=False, context_fn=lambda: (nullcontext(), _running_stats_untouched(unit)))

    def train(self, mode: bool = True) -> ShuffleNetV2:
        """Set the mode, keeping frozen parts and, with ``norm_eval``, all batch norms in eval mode."""
        super().train(mode)
        for part in self._frozen_parts():
            part.eval()
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _frozen_parts(self) -> list[nn.Module]:
        parts = ['conv1', *self.part_names]
        return [getattr(self, name) for name in parts[:self.frozen_stages + 1]]

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # The one place that every way of loading passes: load_state_dict, init_cfg, load_from, resume.
        adopt_state_dict(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _part_channels(widen_factor: float, stage_channels: Sequence[int] | None) -> tuple[int, ...]:
    """Channels behind the stem, stage2, stage3, stage4 and conv5."""
    if widen_factor not in WIDTHS:
        raise UserError(f'widen_factor={widen_factor!r} is not in the paper: allowed are '
                        f'{", ".join(map(str, WIDTHS))}; for another width give stage_channels=(a, b, c).')
    *stages, conv5 = WIDTHS[widen_factor]
    if stage_channels is not None:
        stages = list(stage_channels)
        if len(stages) != 3 or any(type(c) is not int or c < 2 or c % 2 for c in stages):
            raise UserError(f'stage_channels={tuple(stages)} does not fit: expected three even widths, those of '
                            f'stage2, stage3 and stage4, such as (116, 232, 464).')
    return (STEM_CHANNELS, *stages, conv5)


def _checked_out_indices(out_indices: Sequence[int]) -> tuple[int, ...]:
    indices = tuple(out_indices) if isinstance(out_indices, (tuple, list)) else (out_indices, )
    if not indices or any(i not in range(len(STRIDES)) for i in indices) or list(indices) != sorted(set(indices)):
        raise UserError(f'out_indices={out_indices!r} does not fit: expected ascending numbers out of 0 (stem, stride '
                        f'4), 1 (stage2, 8), 2 (stage3, 16), 3 (stage4, 32), 4 (conv5, 32), such as (1, 2, 3).')
    return indices


@contextmanager
def _running_stats_untouched(unit: nn.Module) -> Iterator[None]:
    """For the recomputation of a unit: its batch norms have already counted this batch once."""
    norms = [m for m in unit.modules() if isinstance(m, _BatchNorm) and m.training]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    # Switching track_running_stats off instead would save other tensors than the first pass did.
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, kept):
            norm.momentum, norm.num_batches_tracked = momentum, count
