"""The neck of NanoDet-m: a path aggregation network (Liu et al., CVPR 2018) without convolutions between the levels.

Only the 1x1 convolution of each level, which maps the backbone's features to one width, has weights. The levels are
then resized and added, top-down and bottom-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.functional import interpolate

__all__ = ['LightPAN']


@MODELS.register_module()
class LightPAN(BaseModule):
    """Path aggregation without convolutions between the levels (NanoDet, ``nanodet/model/fpn/pan.py``).

    Args:
        in_channels: Channels of each input, finest level first.
        out_channels: Channels of every output.
        init_cfg: MMEngine's initialization config; Xavier as in NanoDet by default.

    Example:
        >>> import torch
        >>> from mmdet_shufflenetv2.models.nanodet import LightPAN
        >>> neck = LightPAN(in_channels=[116, 232, 464], out_channels=96)
        >>> features = [torch.rand(1, c, s, s) for c, s in ((116, 40), (232, 20), (464, 10))]
        >>> [tuple(out.shape) for out in neck(features)]
        [(1, 96, 40, 40), (1, 96, 20, 20), (1, 96, 10, 10)]
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg or dict(type='Xavier', layer='Conv2d', distribution='uniform'))
        self.lateral_convs = nn.ModuleList(
            ConvModule(channels, out_channels, 1, act_cfg=None) for channels in in_channels
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """One ``(N, C_i, H_i, W_i)`` per level, finest first -> one ``(N, out_channels, H_i, W_i)`` per level."""
        levels = [conv(x) for conv, x in zip(self.lateral_convs, inputs, strict=True)]
        for i in range(len(levels) - 1, 0, -1):
            levels[i - 1] = levels[i - 1] + _resize(levels[i], levels[i - 1])
        for i in range(len(levels) - 1):
            levels[i + 1] = levels[i + 1] + _resize(levels[i], levels[i + 1])
        return tuple(levels)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    # Resized to the other level's size, not by a factor of 2, which is wrong for odd sizes.
    return interpolate(x, size=like.shape[-2:], mode='bilinear', align_corners=False)
