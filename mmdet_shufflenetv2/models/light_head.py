"""Light-Head R-CNN, the detector of the COCO results of the ShuffleNet V2 paper.

Paper: Light-Head R-CNN: In Defense of Two-Stage Object Detector (Li, Peng, Yu, Zhang, Deng, Sun, 2017,
https://arxiv.org/abs/1711.07264). This file has the three parts that MMDetection lacks.
``configs/_base_/light_head_rcnn.py`` combines them with MMDetection's parts::

    image -> backbone -> C5 -> LargeSeparableConv -> thin map ---> PSRoIAlignExtractor -> ConvFCBBoxHead -> boxes
                      -> C4 -> LightHeadRPN -> proposals ------------^
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import RPNHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torchvision.ops import PSRoIAlign

from ..compat.mmcv_ops._kernels import check_rois
from ..utils.errors import UserError

__all__ = ['LargeSeparableConv', 'LightHeadRPN', 'PSRoIAlignExtractor']


@MODELS.register_module()
class LargeSeparableConv(BaseModule):
    """Neck that computes a thin feature map with a large receptive field (section 3.2 and figure 3).

    One path is a k x 1 and a 1 x k convolution, the other path the reverse. Each has a ``k x k`` receptive field at the
    cost of ``2k``. A ReLU follows their sum. As in the authors' code (zengarden/light_head_rcnn), there is no
    activation between the convolutions of a path, so a path is a k x k convolution of low rank.

    Args:
        in_channels: Channels of the backbone's last output.
        mid_channels: Channels between the two convolutions of a path: 64 in the paper's small setting, 256 in its
            large one.
        out_channels: Channels of the thin map: 10 for each of 7 x 7 bins in the paper.
        kernel_size: k, odd.
        init_cfg: MMEngine's initialization config. The default keeps the scale of the features at every width. The
            authors' code uses N(0, 0.01), which is suitable for ResNet's 2048 channels.

    Raises:
        UserError: If ``kernel_size`` is even.
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: int = 64,
        out_channels: int = 490,
        kernel_size: int = 15,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg or dict(type='Xavier', layer='Conv2d', distribution='uniform'))
        if kernel_size % 2 == 0:
            raise UserError(
                f'Invalid kernel_size={kernel_size}: expected an odd number, such as 15, so that the thin '
                f'map has the size of the input.'
            )
        tall: dict[str, Any] = dict(kernel_size=(kernel_size, 1), padding=(kernel_size // 2, 0))
        wide: dict[str, Any] = dict(kernel_size=(1, kernel_size), padding=(0, kernel_size // 2))
        self.tall_wide = nn.Sequential(
            nn.Conv2d(in_channels, mid_channels, **tall), nn.Conv2d(mid_channels, out_channels, **wide)
        )
        self.wide_tall = nn.Sequential(
            nn.Conv2d(in_channels, mid_channels, **wide), nn.Conv2d(mid_channels, out_channels, **tall)
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the thin map ``(N, out_channels, H, W)`` of the last input ``(N, in_channels, H, W)``.

        Returns:
            The thin map, which MMDetection's second stage reads, then the other inputs unchanged for the RPN.
        """
        *others, last = inputs
        return (F.relu(self.tall_wide(last) + self.wide_tall(last), inplace=True), *others)


@MODELS.register_module()
class LightHeadRPN(RPNHead):
    """MMDetection's RPN after :class:`LargeSeparableConv`: it reads the backbone's feature maps, not the thin map.

    Proposals come from the stage before the last (section 3.2). Arguments are those of ``RPNHead``.
    """

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Compute the outputs of the RPN.

        Args:
            x: The thin map, which is ignored, then the feature maps ``(N, in_channels, H, W)``.

        Returns:
            ``(N, anchors, H, W)`` logits and ``(N, 4 * anchors, H, W)`` deltas of each feature map.
        """
        return super().forward(x[1:])


@MODELS.register_module()
class PSRoIAlignExtractor(SingleRoIExtractor):
    """Position-sensitive RoI align: each bin of a region is the average of its own group of channels.

    There are ``out_channels * output_size ** 2`` input channels. Output channel c of bin (y, x) reads input channel
    ``(c * output_size + y) * output_size + x``, the order of the authors' code. Coordinates are those of MMDetection's
    aligned RoI align: the center of cell (0, 0) is at half a stride in the image. The authors' code has this center
    at 0 and takes the maximum of a bin's samples; torchvision's operator takes the average, as in the paper.

    Args:
        out_channels: Channels of the result: 10 in the paper.
        featmap_strides: Stride of each feature map in input pixels. With several maps, the size of a region decides
            which map it reads, as in ``SingleRoIExtractor``.
        output_size: Bins on each side of a region: 7 in the paper.
        sampling_ratio: Samples on each side of a bin: 2 in the authors' code.
        init_cfg: MMEngine's initialization config.
    """

    def __init__(
        self,
        out_channels: int,
        featmap_strides: Sequence[int],
        output_size: int = 7,
        sampling_ratio: int = 2,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        # MMDetection accepts the name of a layer of mmcv.ops or a class; mmcv has no such operator.
        layer = dict(type=PSRoIAlign, output_size=(output_size, output_size), sampling_ratio=sampling_ratio)
        super().__init__(layer, out_channels, list(featmap_strides), init_cfg=init_cfg)

    def forward(self, feats: Sequence[Tensor], rois: Tensor, roi_scale_factor: float | None = None) -> Tensor:
        """Extract the features of the regions.

        Args:
            feats: Thin maps, ``(N, out_channels * output_size ** 2, H, W)`` each.
            rois: ``(K, 5)``: image index, then x1, y1, x2, y2 in pixels of the input.
            roi_scale_factor: Enlarges each region about its center.

        Returns:
            ``(K, out_channels, output_size, output_size)``.

        Raises:
            ValueError: On a CPU, if a row of ``rois`` is not finite or has an invalid image index.
        """
        if not rois.is_cuda:  # the CPU kernel computes addresses from these numbers and would crash
            check_rois(rois, len(feats[0]))
        # In half precision, which mixed-precision training uses here, a coordinate above 1024 is off by up to half a
        # pixel. torchvision's operator does not support bfloat16 on the CPU.
        promoted = [feat.to(torch.promote_types(feat.dtype, torch.float32)) for feat in feats]
        return super().forward(promoted, rois, roi_scale_factor).to(feats[0].dtype)
