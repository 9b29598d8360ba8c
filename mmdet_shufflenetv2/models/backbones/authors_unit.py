"""The two units as in the authors' own release, whose multiply-adds are the paper's.

Source: https://github.com/megvii-model/ShuffleNet-Series (ShuffleNetV2). Two things differ from :mod:`.shuffle_unit`:

* The first unit of a stage keeps its projected branch at the input's width and lets the other branch give the rest:
  stage2 of the 1.0x network is 24 + 92 channels, not 58 + 58.
* Channels are not shuffled behind a unit but parted in front of one: even channels pass, odd ones are worked on. So
  features leave a stage as ``cat`` leaves them, in the order of the authors' own.

The branches bear the authors' names, so weights of the one network never load into the other by mistake, not even at
0.5x, where all shapes agree.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .shuffle_unit import BasicUnit, UnitStyle, channel_shuffle, projection, transformation

__all__ = ['AuthorsBasicUnit', 'AuthorsDownsampleUnit']


class AuthorsBasicUnit(BasicUnit):
    """:class:`.BasicUnit`, but odd channels are transformed, even ones pass through and come first."""

    branch = 'branch_main'

    @staticmethod
    def part(x: Tensor) -> tuple[Tensor, Tensor]:
        # A shuffle of C / 2 groups of two puts the even channels first.
        return channel_shuffle(x, x.shape[1] // 2).chunk(2, dim=1)

    @staticmethod
    def join(passed: Tensor, out: Tensor) -> Tensor:
        return torch.cat((passed, out), dim=1)


class AuthorsDownsampleUnit(nn.Module):
    """First of a stage: one branch keeps the input's width, the other gives what is missing to the output's.

    Arguments as of :class:`.DownsampleUnit`; ``out_channels`` is more than ``in_channels``.
    """

    def __init__(self, in_channels: int, out_channels: int, style: UnitStyle, *, stride: int = 2,
                 dilation: int = 1) -> None:
        super().__init__()
        self.branch_proj = projection(in_channels, in_channels, style, stride=stride, dilation=dilation)
        self.branch_main = transformation(
            in_channels, out_channels // 2, out_channels - in_channels, style, stride=stride, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` -> ``(N, out_channels, ceil(H / stride), ceil(W / stride))``."""
        return self.join(self.branch_proj(x), self.branch_main(x))

    join = staticmethod(AuthorsBasicUnit.join)
