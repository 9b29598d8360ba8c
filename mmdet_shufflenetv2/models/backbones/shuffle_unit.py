"""The two units of ShuffleNet V2 (Ma et al., ECCV 2018, figure 3 c and d), in torchvision's and the authors' form.

A unit transforms half of its channels and forwards the other half unchanged. The channel shuffle at its end mixes the
halves. Parameter names are torchvision's: ``branch1`` and ``branch2`` are flat sequences of convolution, norm and
activation. The layers of the paper's larger variants are in these sequences under the names ``field`` and ``se``.

The authors' own release (https://github.com/megvii-model/ShuffleNet-Series, ShuffleNetV2) has the multiply-adds of the
paper and splits channels differently. Its branches have the authors' names, so weights of one network never load into
the other by mistake, not even at 0.5x, where all shapes are equal.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import torch
from mmcv.cnn import build_activation_layer, build_conv_layer, build_norm_layer
from mmdet.models.layers import SELayer
from torch import Tensor, nn
from torchvision.models.shufflenetv2 import channel_shuffle

__all__ = [
    'AuthorsBasicUnit',
    'AuthorsDownsampleUnit',
    'BasicUnit',
    'DownsampleUnit',
    'UnitStyle',
    'channel_shuffle',
    'conv_norm',
    'projection',
    'transformation',
]


class UnitStyle(NamedTuple):
    """Settings that all units of a network share; the flags are arguments of :class:`.ShuffleNetV2`."""

    conv_cfg: dict[str, Any] | None
    norm_cfg: dict[str, Any]
    act_cfg: dict[str, Any]
    large_receptive_field: bool = False
    with_se: bool = False
    with_residual: bool = False


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    style: UnitStyle,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    act: bool = True,
) -> list[nn.Module]:
    """A convolution with "same" padding, its norm and, with ``act``, an activation."""
    conv = build_conv_layer(
        style.conv_cfg,
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
        groups=groups,
        bias=False,
    )
    layers = [conv, build_norm_layer(style.norm_cfg, out_channels)[1]]
    if act:
        layers.append(build_activation_layer(style.act_cfg))
    return layers


def depthwise(channels: int, style: UnitStyle, **kwargs: Any) -> list[nn.Module]:
    """A depthwise 3x3 convolution and its norm, without an activation."""
    return conv_norm(channels, channels, 3, style, groups=channels, act=False, **kwargs)


def transformation(
    in_channels: int,
    middle: int,
    out_channels: int,
    style: UnitStyle,
    *,
    stride: int = 1,
    dilation: int = 1,
    act: bool = True,
) -> nn.Sequential:
    """The main branch of a unit: 1x1, depthwise 3x3 and 1x1 convolution.

    V2* adds a depthwise convolution at the start (``field``). SE networks add a gate before the last activation
    (``se``; without reduction, as in the authors' SE release). ``act=False`` leaves the last activation to the caller.
    """
    layers = conv_norm(in_channels, middle, 1, style)
    layers += depthwise(middle, style, stride=stride, dilation=dilation)
    layers += conv_norm(middle, out_channels, 1, style, act=act)
    named: OrderedDict[str, nn.Module] = OrderedDict()
    if style.large_receptive_field:
        named['field'] = nn.Sequential(*depthwise(in_channels, style, dilation=dilation))
    named.update((str(index), layer) for index, layer in enumerate(layers))
    if style.with_se:
        named['se'] = SELayer(out_channels, ratio=1, act_cfg=(dict(type='ReLU'), dict(type='Sigmoid')))
        if act:
            named.move_to_end(str(len(layers) - 1))
    return nn.Sequential(named)


def projection(in_channels: int, out_channels: int, style: UnitStyle, *, stride: int, dilation: int) -> nn.Sequential:
    """The second branch of a stage's first unit: depthwise 3x3 and 1x1 convolution."""
    return nn.Sequential(
        *depthwise(in_channels, style, stride=stride, dilation=dilation),
        *conv_norm(in_channels, out_channels, 1, style),
    )


class BasicUnit(nn.Module):
    """Unit that keeps size and width: it transforms the second half of the channels and forwards the first half.

    Args:
        channels: Channels of input and output; even.
        style: Settings shared by all units.
        dilation: Dilation of the depthwise convolutions.
    """

    #: Parameter name of the transformed branch.
    branch = 'branch2'

    def __init__(self, channels: int, style: UnitStyle, *, dilation: int = 1) -> None:
        super().__init__()
        half = channels // 2
        self.add_module(
            self.branch, transformation(half, half, half, style, dilation=dilation, act=not style.with_residual)
        )
        self.act = build_activation_layer(style.act_cfg) if style.with_residual else None

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` -> ``(N, C, H, W)``."""
        identity, selected = self.split(x)
        out = self.get_submodule(self.branch)(selected)
        if self.act is not None:
            out = self.act(selected + out)
        return self.merge(identity, out)

    @staticmethod
    def split(x: Tensor) -> tuple[Tensor, ...]:
        """The channels to forward and the channels to transform, ``(N, C / 2, H, W)`` each."""
        return x.chunk(2, dim=1)

    @staticmethod
    def merge(identity: Tensor, out: Tensor) -> Tensor:
        """The unit's output from the forwarded and the transformed channels."""
        return channel_shuffle(torch.cat((identity, out), dim=1), 2)


class DownsampleUnit(nn.Module):
    """First unit of a stage, usually with stride 2: both branches read all channels and give half of the output each.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output; even.
        style: Settings shared by all units.
        stride: 2 halves the size; 1 keeps it, for dilated stages.
        dilation: Dilation of the depthwise convolutions.
    """

    #: Parameter names of the projected and the transformed branch.
    branches = ('branch1', 'branch2')

    def __init__(
        self, in_channels: int, out_channels: int, style: UnitStyle, *, stride: int = 2, dilation: int = 1
    ) -> None:
        super().__init__()
        projected = self.projected_width(in_channels, out_channels)
        self.add_module(self.branches[0], projection(in_channels, projected, style, stride=stride, dilation=dilation))
        self.add_module(
            self.branches[1],
            transformation(
                in_channels, out_channels // 2, out_channels - projected, style, stride=stride, dilation=dilation
            ),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` -> ``(N, out_channels, ceil(H / stride), ceil(W / stride))``."""
        return self.merge(*(branch(x) for branch in self.children()))

    @staticmethod
    def projected_width(in_channels: int, out_channels: int) -> int:
        """Output channels of the projected branch."""
        return out_channels // 2

    merge = staticmethod(BasicUnit.merge)


class AuthorsBasicUnit(BasicUnit):
    """The authors' :class:`BasicUnit`: odd channels are transformed; even channels are forwarded and come first.

    Channels are split at the start of a unit instead of shuffled at its end, so the output of a stage is not shuffled.
    """

    branch = 'branch_main'

    @staticmethod
    def split(x: Tensor) -> tuple[Tensor, ...]:
        # A shuffle of C / 2 groups of two puts the even channels first.
        return channel_shuffle(x, x.shape[1] // 2).chunk(2, dim=1)

    @staticmethod
    def merge(identity: Tensor, out: Tensor) -> Tensor:
        return torch.cat((identity, out), dim=1)


class AuthorsDownsampleUnit(DownsampleUnit):
    """The authors' :class:`DownsampleUnit`: the projected branch keeps ``in_channels``, the other gives the rest.

    Stage2 of the 1.0x network has 24 + 92 channels, not 58 + 58. ``out_channels`` must exceed ``in_channels``.
    """

    branches = ('branch_proj', 'branch_main')

    @staticmethod
    def projected_width(in_channels: int, out_channels: int) -> int:
        return in_channels

    merge = staticmethod(AuthorsBasicUnit.merge)
