"""The networks of tables 1 to 4 of the paper: ten equal blocks on 56x56 feature maps.

Convolutions have no bias, and tables 1 to 3 no activations, so that only the varied property takes time. The
multiply-adds and memory access cost of each are the closed forms of section 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ['BLOCKS', 'MAP_SIZE', 'balanced', 'bottlenecks', 'fragmented', 'grouped', 'random_input']

#: Blocks of a network, and height and width of its feature maps.
BLOCKS = 10
MAP_SIZE = 56


def balanced(c1: int, c2: int) -> nn.Sequential:
    """Table 1: each block has a pointwise convolution from ``c1`` to ``c2`` channels and one back."""
    return nn.Sequential(*(nn.Sequential(_conv(c1, c2), _conv(c2, c1)) for _ in range(BLOCKS)))


def grouped(channels: int, groups: int) -> nn.Sequential:
    """Table 2: each block is a pointwise convolution with ``groups`` groups.

    The table has 180 channels in 8 groups, which is not possible; the next possible width is used.
    """
    channels += -channels % groups
    return nn.Sequential(*(_conv(channels, channels, groups=groups) for _ in range(BLOCKS)))


def fragmented(channels: int, fragments: int, parallel: bool = False) -> nn.Sequential:
    """Table 3: each block has ``fragments`` pointwise convolutions, in series or in parallel and summed."""

    def block() -> nn.Module:
        convs = [_conv(channels, channels) for _ in range(fragments)]
        return Parallel(convs) if parallel else nn.Sequential(*convs)

    return nn.Sequential(*(block() for _ in range(BLOCKS)))


def bottlenecks(channels: int, relu: bool, shortcut: bool) -> nn.Sequential:
    """Table 4: ResNet's bottleneck, with or without its ReLUs and its shortcut."""
    return nn.Sequential(*(Bottleneck(channels, relu, shortcut) for _ in range(BLOCKS)))


class Parallel(nn.Module):
    """The sum of parallel convolutions (appendix, building blocks of guideline 3)."""

    def __init__(self, convs: Sequence[nn.Module]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convs)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` -> ``(N, C, H, W)``."""
        total = self.convs[0](x)
        for conv in self.convs[1:]:
            total = total + conv(x)
        return total


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolution with a quarter of the channels in the middle, as in ResNet, but without norms.

    The paper gives one c without saying of which convolution. If it were the middle one's, a network with c = 128 would
    have 8.7G multiply-adds, and the GTX 1080 Ti would run 1782 of them per second, nearly three times its peak. So c is
    the width of the block.
    """

    def __init__(self, channels: int, relu: bool, shortcut: bool) -> None:
        super().__init__()
        middle = channels // 4
        self.convs = nn.ModuleList(
            [_conv(channels, middle), _conv(middle, middle, kernel_size=3), _conv(middle, channels)]
        )
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` -> ``(N, C, H, W)``."""
        out = x
        for conv in self.convs[:-1]:
            out = self.relu(conv(out))
        out = self.convs[-1](out)
        return self.relu(out + x if self.shortcut else out)


def random_input(network: nn.Module, device: torch.device | str = 'cpu') -> Tensor:
    """A random input for ``network`` with the channels of its first convolution: ``(1, C, 56, 56)``."""
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    return torch.rand(1, first.in_channels, MAP_SIZE, MAP_SIZE, device=device)


def _conv(c1: int, c2: int, kernel_size: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c1, c2, kernel_size, padding=kernel_size // 2, groups=groups, bias=False)
