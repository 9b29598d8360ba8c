"""The thin feature map of Light-Head R-CNN (Li et al., arXiv 1711.07264, section 3.2 and figure 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...utils.errors import UserError

__all__ = ['LargeSeparableConv']


@MODELS.register_module()
class LargeSeparableConv(BaseModule):
    """Neck that turns the backbone's last map into a thin one with a large field of view.

    Two paths see ``k x k`` places each at the price of ``2k``: k x 1, then 1 x k, and the other way round. Their sum
    goes through a ReLU. There is no activation between the two convolutions of a path, as in the authors' code
    (zengarden/light_head_rcnn), so a path is a k x k convolution of low rank.

    Args:
        in_channels: Channels of the backbone's last output.
        mid_channels: Channels between the two convolutions of a path: 64 in the paper's small setting, 256 in its
            large one.
        out_channels: Channels of the thin map: 10 for each of 7 x 7 bins in the paper.
        kernel_size: k, odd.
        init_cfg: MMEngine's initialisation config. The default keeps the scale of the features at every width; the
            authors' code draws from N(0, 0.01), which suits ResNet's 2048 channels.

    Raises:
        UserError: If ``kernel_size`` is even.
    """

    def __init__(self, in_channels: int, mid_channels: int = 64, out_channels: int = 490, kernel_size: int = 15,
                 init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg or dict(type='Xavier', layer='Conv2d', distribution='uniform'))
        if kernel_size % 2 == 0:
            raise UserError(f'kernel_size={kernel_size} does not fit: expected an odd number, such as 15, so that the '
                            f'thin map has the size of the map that it is made from.')
        tall = dict(kernel_size=(kernel_size, 1), padding=(kernel_size // 2, 0))
        wide = dict(kernel_size=(1, kernel_size), padding=(0, kernel_size // 2))
        self.tall_wide = nn.Sequential(
            nn.Conv2d(in_channels, mid_channels, **tall), nn.Conv2d(mid_channels, out_channels, **wide))
        self.wide_tall = nn.Sequential(
            nn.Conv2d(in_channels, mid_channels, **wide), nn.Conv2d(mid_channels, out_channels, **tall))

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Thin map first, since that is where MMDetection's second stage looks; the others follow for the RPN.

        Args:
            inputs: The backbone's outputs. The last one, ``(N, in_channels, H, W)``, becomes the thin map.

        Returns:
            The thin map ``(N, out_channels, H, W)``, then the other inputs as they are.
        """
        *others, last = inputs
        return (F.relu(self.tall_wide(last) + self.wide_tall(last), inplace=True), *others)
