"""The neck of NanoDet-Plus: a path aggregation network (Liu et al., CVPR 2018) of ghost blocks.

A ghost module (Han et al., CVPR 2020) computes half of its channels with a 1x1 convolution and the other half from
these with a depthwise convolution. A ghost block consists of two ghost modules and a separable shortcut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule, build_activation_layer, build_norm_layer
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.functional import interpolate

__all__ = ['GhostPAN']


@MODELS.register_module()
class GhostPAN(BaseModule):
    """Path aggregation with ghost blocks and an extra level (NanoDet, ``nanodet/model/fpn/ghost_pan.py``).

    Top-down, the block of a level reads the resized coarser level and the level itself. Bottom-up, it reads the finer
    level, downsampled by a convolution, and the level itself. The extra level is the sum of the downsampled coarsest
    input and the downsampled coarsest output.

    Args:
        in_channels: Channels of each input, finest level first. Each level has half the resolution of the previous.
        out_channels: Channels of every output; even.
        kernel_size: Kernel size of the depthwise convolutions between levels and in shortcuts.
        norm_cfg, act_cfg: Layer configs as in MMDetection; BN and LeakyReLU of slope 0.1 by default.
        init_cfg: MMEngine's initialization config.

    Example:
        >>> import torch
        >>> from mmdet_shufflenetv2.models.nanodet import GhostPAN
        >>> neck = GhostPAN(in_channels=[116, 232, 464], out_channels=96)
        >>> features = [torch.rand(1, c, s, s) for c, s in ((116, 40), (232, 20), (464, 10))]
        >>> [tuple(out.shape) for out in neck(features)]
        [(1, 96, 40, 40), (1, 96, 20, 20), (1, 96, 10, 10), (1, 96, 5, 5)]
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        kernel_size: int = 5,
        norm_cfg: dict[str, Any] | None = None,
        act_cfg: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        layers = dict(
            norm_cfg=norm_cfg or dict(type='BN'), act_cfg=act_cfg or dict(type='LeakyReLU', negative_slope=0.1)
        )

        def blocks() -> nn.ModuleList:
            return nn.ModuleList(
                _GhostBlock(2 * out_channels, out_channels, kernel_size, **layers) for _ in in_channels[1:]
            )

        def downsample() -> nn.Module:
            return DepthwiseSeparableConvModule(
                out_channels, out_channels, kernel_size, stride=2, padding=kernel_size // 2, **layers
            )

        self.reduce_layers = nn.ModuleList(ConvModule(width, out_channels, 1, **layers) for width in in_channels)
        self.top_down_blocks = blocks()  # coarsest first
        self.downsamples = nn.ModuleList(downsample() for _ in in_channels[1:])
        self.bottom_up_blocks = blocks()
        self.extra_lvl_in_conv = downsample()
        self.extra_lvl_out_conv = downsample()

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """One ``(N, C_i, H_i, W_i)`` per level, finest first -> ``(N, out_channels, H_i, W_i)`` each, and one more."""
        *finer, coarsest = (layer(x) for layer, x in zip(self.reduce_layers, inputs, strict=True))
        levels = [coarsest]
        for reduced, block in zip(reversed(finer), self.top_down_blocks, strict=True):
            # Resized to the finer level's size, not by a factor of 2, which is wrong for odd sizes.
            above = interpolate(levels[0], size=reduced.shape[-2:], mode='bilinear', align_corners=False)
            levels.insert(0, block(torch.cat((above, reduced), dim=1)))
        for i, (conv, block) in enumerate(zip(self.downsamples, self.bottom_up_blocks, strict=True)):
            levels[i + 1] = block(torch.cat((conv(levels[i]), levels[i + 1]), dim=1))
        return *levels, self.extra_lvl_in_conv(coarsest) + self.extra_lvl_out_conv(levels[-1])


class _GhostBlock(nn.Module):
    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, norm_cfg: dict[str, Any], act_cfg: dict[str, Any]
    ) -> None:
        super().__init__()
        self.ghost1 = _GhostModule(in_channels, out_channels, norm_cfg, act_cfg)
        self.ghost2 = _GhostModule(out_channels, out_channels, norm_cfg, None)
        self.shortcut = nn.Sequential(
            *_conv_norm(in_channels, in_channels, kernel_size, norm_cfg, groups=in_channels),
            *_conv_norm(in_channels, out_channels, 1, norm_cfg),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.ghost2(self.ghost1(x)) + self.shortcut(x)


class _GhostModule(nn.Module):
    def __init__(
        self, in_channels: int, out_channels: int, norm_cfg: dict[str, Any], act_cfg: dict[str, Any] | None
    ) -> None:
        super().__init__()
        half = out_channels // 2
        activation = [build_activation_layer(act_cfg)] if act_cfg else []
        self.primary_conv = nn.Sequential(*_conv_norm(in_channels, half, 1, norm_cfg), *activation)
        self.cheap_operation = nn.Sequential(*_conv_norm(half, half, 3, norm_cfg, groups=half), *activation)

    def forward(self, x: Tensor) -> Tensor:
        primary = self.primary_conv(x)
        return torch.cat((primary, self.cheap_operation(primary)), dim=1)


def _conv_norm(
    in_channels: int, out_channels: int, kernel_size: int, norm_cfg: dict[str, Any], groups: int = 1
) -> tuple[nn.Module, nn.Module]:
    """A convolution and a norm with PyTorch's initialization, as in NanoDet; ``ConvModule`` has another one."""
    return (
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, groups=groups, bias=False),
        build_norm_layer(norm_cfg, out_channels)[1],
    )
