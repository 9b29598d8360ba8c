"""The two units of ShuffleNet V2 (Ma et al., ECCV 2018, figure 3 c and d), as torchvision and the authors build them.

A unit works on half of its channels and passes the other half through untouched; the channel shuffle at its end lets
the halves meet. Parameter names are torchvision's: ``branch1`` and ``branch2`` are flat sequences of convolution, norm
and activation, and what the paper's larger variants add stands in them under a name of its own (``field``, ``se``).

The authors' own release (https://github.com/megvii-model/ShuffleNet-Series, ShuffleNetV2), whose multiply-adds are the
paper's, divides channels in another way. Its branches bear the authors' names, so weights of the one network never load
into the other by mistake, not even at 0.5x, where all shapes agree.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import torch
from mmcv.cnn import build_activation_layer, build_conv_layer, build_norm_layer
from mmdet.models.layers import SELayer
from torch import Tensor, nn
from torchvision.models.shufflenetv2 import channel_shuffle

__all__ = ['AuthorsBasicUnit', 'AuthorsDownsampleUnit', 'BasicUnit', 'DownsampleUnit', 'UnitStyle', 'channel_shuffle',
           'conv_norm', 'projection', 'transformation']


class UnitStyle(NamedTuple):
    """What all units of a network have in common; the switches are arguments of :class:`.ShuffleNetV2`."""

    conv_cfg: dict | None
    norm_cfg: dict
    act_cfg: dict
    large_receptive_field: bool = False
    with_se: bool = False
    with_residual: bool = False


def conv_norm(in_channels: int, out_channels: int, kernel_size: int, style: UnitStyle, *, stride: int = 1,
              dilation: int = 1, groups: int = 1, act: bool = True) -> list[nn.Module]:
    """A convolution that keeps the size (over the stride), its norm and, with ``act``, an activation."""
    conv = build_conv_layer(
        style.conv_cfg, in_channels, out_channels, kernel_size, stride=stride, padding=dilation * (kernel_size // 2),
        dilation=dilation, groups=groups, bias=False)
    layers = [conv, build_norm_layer(style.norm_cfg, out_channels)[1]]
    if act:
        layers.append(build_activation_layer(style.act_cfg))
    return layers


def depthwise(channels: int, style: UnitStyle, **kwargs: Any) -> list[nn.Module]:
    """A depthwise 3x3 convolution and its norm; no activation follows one in this network."""
    return conv_norm(channels, channels, 3, style, groups=channels, act=False, **kwargs)


def transformation(in_channels: int, middle: int, out_channels: int, style: UnitStyle, *, stride: int = 1,
                   dilation: int = 1, act: bool = True) -> nn.Sequential:
    """The branch that does a unit's work: 1x1, depthwise 3x3, 1x1.

    V2* has one more depthwise convolution in front (``field``), an SE network its gate in front of the last activation
    (``se``; without reduction, as in the authors' SE release). ``act=False`` leaves that activation to the caller.
    """
    layers = conv_norm(in_channels, middle, 1, style)
    layers += depthwise(middle, style, stride=stride, dilation=dilation)
    layers += conv_norm(middle, out_channels, 1, style, act=act)
    named: OrderedDict[str, nn.Module] = OrderedDict()
    if style.large_receptive_field:
        named['field'] = nn.Sequential(*depthwise(in_channels, style, dilation=dilation))
    named.update((str(place), layer) for place, layer in enumerate(layers))
    if style.with_se:
        named['se'] = SELayer(out_channels, ratio=1, act_cfg=(dict(type='ReLU'), dict(type='Sigmoid')))
        if act:
            named.move_to_end(str(len(layers) - 1))
    return nn.Sequential(named)


def projection(in_channels: int, out_channels: int, style: UnitStyle, *, stride: int, dilation: int) -> nn.Sequential:
    """The other branch of a stage's first unit: depthwise 3x3, 1x1."""
    return nn.Sequential(
        *depthwise(in_channels, style, stride=stride, dilation=dilation),
        *conv_norm(in_channels, out_channels, 1, style))


class BasicUnit(nn.Module):
    """Keeps size and width: the second half of the channels is transformed, the first passes through.

    Args:
        channels: Width of input and output; even.
        style: What it shares with the other units.
        dilation: Of the depthwise convolutions.
    """

    #: What the transformed branch is called in the names of its weights.
    branch = 'branch2'

    def __init__(self, channels: int, style: UnitStyle, *, dilation: int = 1) -> None:
        super().__init__()
        half = channels // 2
        self.add_module(self.branch, transformation(
            half, half, half, style, dilation=dilation, act=not style.with_residual))
        self.act = build_activation_layer(style.act_cfg) if style.with_residual else None

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` -> ``(N, C, H, W)``."""
        passed, worked = self.part(x)
        out = self.get_submodule(self.branch)(worked)
        if self.act is not None:
            out = self.act(worked + out)
        return self.join(passed, out)

    @staticmethod
    def part(x: Tensor) -> tuple[Tensor, Tensor]:
        """The channels that pass, and those that the unit works on; ``(N, C / 2, H, W)`` each."""
        return x.chunk(2, dim=1)

    @staticmethod
    def join(passed: Tensor, out: Tensor) -> Tensor:
        """The unit's output from what passed and what it made of the rest."""
        return channel_shuffle(torch.cat((passed, out), dim=1), 2)


class DownsampleUnit(nn.Module):
    """First of a stage, with stride 2 as a rule: both branches see all channels and give half of the output each.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output; even.
        style: What it shares with the other units.
        stride: 2 halves the size; 1 where a dilated stage keeps it.
        dilation: Of the depthwise convolutions.
    """

    #: What the projected and the transformed branch are called in the names of their weights.
    branches = ('branch1', 'branch2')

    def __init__(self, in_channels: int, out_channels: int, style: UnitStyle, *, stride: int = 2,
                 dilation: int = 1) -> None:
        super().__init__()
        projected = self.projected_width(in_channels, out_channels)
        self.add_module(self.branches[0], projection(in_channels, projected, style, stride=stride, dilation=dilation))
        self.add_module(self.branches[1], transformation(
            in_channels, out_channels // 2, out_channels - projected, style, stride=stride, dilation=dilation))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` -> ``(N, out_channels, ceil(H / stride), ceil(W / stride))``."""
        return self.join(*(branch(x) for branch in self.children()))

    @staticmethod
    def projected_width(in_channels: int, out_channels: int) -> int:
        """How many of the output's channels the projected branch gives."""
        return out_channels // 2

    join = staticmethod(BasicUnit.join)


class AuthorsBasicUnit(BasicUnit):
    """The authors' :class:`BasicUnit`: odd channels are transformed, even ones pass through and come first.

    So channels are not shuffled behind a unit but parted in front of one, and features leave a stage as ``cat`` leaves
    them.
    """

    branch = 'branch_main'

    @staticmethod
    def part(x: Tensor) -> tuple[Tensor, Tensor]:
        # A shuffle of C / 2 groups of two puts the even channels first.
        return channel_shuffle(x, x.shape[1] // 2).chunk(2, dim=1)

    @staticmethod
    def join(passed: Tensor, out: Tensor) -> Tensor:
        return torch.cat((passed, out), dim=1)


class AuthorsDownsampleUnit(DownsampleUnit):
    """The authors' :class:`DownsampleUnit`: the projected branch keeps the input's width, the other gives the rest.

    Stage2 of the 1.0x network is 24 + 92 channels, not 58 + 58. ``out_channels`` is more than ``in_channels``.
    """

    branches = ('branch_proj', 'branch_main')

    @staticmethod
    def projected_width(in_channels: int, out_channels: int) -> int:
        return in_channels

    join = staticmethod(AuthorsBasicUnit.join)
