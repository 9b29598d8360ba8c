"""The two units of ShuffleNet V2 (Ma et al., ECCV 2018, figure 3 c and d).

A unit works on half of its channels and passes the other half through untouched; the channel shuffle at its end lets
the halves meet. Parameter names are torchvision's: ``branch1`` and ``branch2`` are flat sequences of convolution, norm
and activation.
"""

from __future__ import annotations

import torch
from mmcv.cnn import build_activation_layer, build_conv_layer, build_norm_layer
from torch import Tensor, nn

__all__ = ['BasicUnit', 'DownsampleUnit', 'channel_shuffle', 'conv_norm']


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Interleave the channels of ``groups`` equal groups (ShuffleNet, Zhang et al., CVPR 2018, figure 1).

    Args:
        x: ``(N, C, H, W)`` with C divisible by ``groups``.
        groups: Number of groups. With 2, channels 0 1 2 3 become 0 2 1 3.

    Returns:
        ``(N, C, H, W)``.
    """
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


def conv_norm(in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1,
              conv_cfg: dict | None, norm_cfg: dict, act_cfg: dict | None) -> list[nn.Module]:
    """A convolution that keeps the size (over the stride), its norm and, where ``act_cfg`` is given, an activation."""
    conv = build_conv_layer(
        conv_cfg, in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, groups=groups,
        bias=False)
    layers = [conv, build_norm_layer(norm_cfg, out_channels)[1]]
    if act_cfg is not None:
        layers.append(build_activation_layer(act_cfg))
    return layers


class BasicUnit(nn.Module):
    """Stride 1: the second half of the channels is transformed, the first passes through.

    Args:
        channels: Width of input and output; even.
        conv_cfg, norm_cfg, act_cfg: Layer configs as in MMDetection.
    """

    def __init__(self, channels: int, *, conv_cfg: dict | None, norm_cfg: dict, act_cfg: dict) -> None:
        super().__init__()
        half = channels // 2
        cfg = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        self.branch2 = nn.Sequential(
            *conv_norm(half, half, 1, act_cfg=act_cfg, **cfg),
            *conv_norm(half, half, 3, groups=half, act_cfg=None, **cfg),
            *conv_norm(half, half, 1, act_cfg=act_cfg, **cfg))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` -> ``(N, C, H, W)``."""
        passed, worked = x.chunk(2, dim=1)
        return channel_shuffle(torch.cat((passed, self.branch2(worked)), dim=1), 2)


class DownsampleUnit(nn.Module):
    """Stride 2: both branches see all channels, halve the size and give half of the output each.

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output; even.
        conv_cfg, norm_cfg, act_cfg: Layer configs as in MMDetection.
    """

    def __init__(self, in_channels: int, out_channels: int, *, conv_cfg: dict | None, norm_cfg: dict,
                 act_cfg: dict) -> None:
        super().__init__()
        half = out_channels // 2
        cfg = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        self.branch1 = nn.Sequential(
            *conv_norm(in_channels, in_channels, 3, stride=2, groups=in_channels, act_cfg=None, **cfg),
            *conv_norm(in_channels, half, 1, act_cfg=act_cfg, **cfg))
        self.branch2 = nn.Sequential(
            *conv_norm(in_channels, half, 1, act_cfg=act_cfg, **cfg),
            *conv_norm(half, half, 3, stride=2, groups=half, act_cfg=None, **cfg),
            *conv_norm(half, half, 1, act_cfg=act_cfg, **cfg))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` -> ``(N, out_channels, ceil(H / 2), ceil(W / 2))``."""
        return channel_shuffle(torch.cat((self.branch1(x), self.branch2(x)), dim=1), 2)
