"""The networks that the paper times in tables 1 to 4: ten equal blocks on 56x56 maps.

Convolutions have no bias and tables 1 to 3 no activation, so that nothing but what a table varies takes time. The
multiply-adds and memory access cost of each are the closed forms of section 2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ['BLOCKS', 'PLACES', 'balanced', 'bottlenecks', 'fragmented', 'grouped', 'random_input']

#: Blocks of a network, and places of a map's side.
BLOCKS = 10
PLACES = 56


def balanced(c1: int, c2: int) -> nn.Sequential:
    """Table 1: in each block a pointwise convolution from ``c1`` to ``c2`` channels and one back."""
    return nn.Sequential(*(nn.Sequential(_conv(c1, c2), _conv(c2, c1)) for _ in range(BLOCKS)))


def grouped(channels: int, groups: int) -> nn.Sequential:
    """Table 2: a pointwise convolution in ``groups`` groups a block.

    The table has 180 channels in 8 groups, which no convolution can have; the next width that can takes their place.
    """
    channels += -channels % groups
    return nn.Sequential(*(_conv(channels, channels, groups=groups) for _ in range(BLOCKS)))


def fragmented(channels: int, fragments: int, parallel: bool = False) -> nn.Sequential:
    """Table 3: a block of ``fragments`` pointwise convolutions, one behind the other or side by side and summed."""

    def block() -> nn.Module:
        convs = [_conv(channels, channels) for _ in range(fragments)]
        return Parallel(convs) if parallel else nn.Sequential(*convs)

    return nn.Sequential(*(block() for _ in range(BLOCKS)))


def bottlenecks(channels: int, relu: bool, shortcut: bool) -> nn.Sequential:
    """Table 4: ResNet's bottleneck, with or without its ReLUs and its shortcut."""
    return nn.Sequential(*(Bottleneck(channels, relu, shortcut) for _ in range(BLOCKS)))


class Parallel(nn.Module):
    """Convolutions that read the same input; their sum goes on (appendix, building blocks of guideline 3)."""

    def __init__(self, convs: list[nn.Module]) -> None:
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

    The paper gives one c and does not say of which convolution. Were it the middle's, a network of c = 128 would have
    8.7G multiply-adds and the GTX 1080 Ti would have done 1782 of them a second: nearly three times what it can. So c
    is the block's width.
    """

    def __init__(self, channels: int, relu: bool, shortcut: bool) -> None:
        super().__init__()
        middle = channels // 4
        self.convs = nn.ModuleList([
            _conv(channels, middle), _conv(middle, middle, kernel_size=3), _conv(middle, channels)])
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
    """An image's map as wide as the first convolution of ``network`` reads: ``(1, C, 56, 56)``."""
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    return torch.rand(1, first.in_channels, PLACES, PLACES, device=device)


def _conv(c1: int, c2: int, kernel_size: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c1, c2, kernel_size, padding=kernel_size // 2, groups=groups, bias=False)
