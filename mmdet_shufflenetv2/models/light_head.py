"""Light-Head R-CNN, the detector behind the COCO results of the ShuffleNet V2 paper.

Paper: Light-Head R-CNN: In Defense of Two-Stage Object Detector (Li, Peng, Yu, Zhang, Deng, Sun, 2017,
https://arxiv.org/abs/1711.07264). Here are the three parts that MMDetection lacks; the rest of the detector is
MMDetection's, put together in ``configs/_base_/light_head_rcnn.py``::

    image -> backbone -> C5 -> LargeSeparableConv -> thin map ---> PSRoIAlignExtractor -> ConvFCBBoxHead -> boxes
                      -> C4 -> LightHeadRPN -> proposals ------------^
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import RPNHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torchvision.ops import PSRoIAlign

from ..compat.mmcv_ops._kernels import check_regions
from ..utils.errors import UserError

__all__ = ['LargeSeparableConv', 'LightHeadRPN', 'PSRoIAlignExtractor']


@MODELS.register_module()
class LargeSeparableConv(BaseModule):
    """Neck that turns the backbone's last map into a thin one with a large field of view (section 3.2 and figure 3).

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
        """The last input, ``(N, in_channels, H, W)``, as the thin map ``(N, out_channels, H, W)``, then the others as
        they are for the RPN: the first is where MMDetection's second stage looks.
        """
        *others, last = inputs
        return (F.relu(self.tall_wide(last) + self.wide_tall(last), inplace=True), *others)


@MODELS.register_module()
class LightHeadRPN(RPNHead):
    """MMDetection's RPN behind :class:`LargeSeparableConv`: it reads the backbone's maps, not the thin one.

    Proposals come from the stage before the last (section 3.2). Arguments are those of
    ``RPNHead``.
    """

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """The thin map, then the maps to propose from, ``(N, in_channels, H, W)`` -> for each of the latter
        ``(N, anchors, H, W)`` logits and ``(N, 4 * anchors, H, W)`` deltas.
        """
        return super().forward(x[1:])


@MODELS.register_module()
class PSRoIAlignExtractor(SingleRoIExtractor):
    """Each bin of a region is averaged from a group of channels of its own.

    Of ``out_channels * output_size ** 2`` input channels, output channel c of bin (y, x) reads input channel
    ``(c * output_size + y) * output_size + x``, the order of the authors' code. Coordinates are those of MMDetection's
    aligned RoI align: cell (0, 0) of the map has its centre at half a stride in the image. (The authors' code takes
    the largest of a bin's samples and puts that centre at 0; torchvision's operator averages, as the paper says.)

    Args:
        out_channels: Channels of the result: 10 in the paper.
        featmap_strides: Stride of each feature map in input pixels. Of several maps each region reads one,
            according to its size, as in ``SingleRoIExtractor``.
        output_size: Bins on each side of a region: 7 in the paper.
        sampling_ratio: Samples on each side of a bin: 2 in the authors' code.
        init_cfg: MMEngine's initialisation config.
    """

    def __init__(self, out_channels: int, featmap_strides: Sequence[int], output_size: int = 7,
                 sampling_ratio: int = 2, init_cfg: dict | list[dict] | None = None) -> None:
        # MMDetection finds layers in mmcv.ops by name and takes a class as it is; mmcv has no such operator.
        layer = dict(type=PSRoIAlign, output_size=(output_size, output_size), sampling_ratio=sampling_ratio)
        super().__init__(layer, out_channels, list(featmap_strides), init_cfg=init_cfg)

    def forward(self, feats: Sequence[Tensor], rois: Tensor, roi_scale_factor: float | None = None) -> Tensor:
        """What the regions show.

        Args:
            feats: Thin maps, ``(N, out_channels * output_size ** 2, H, W)`` each.
            rois: ``(K, 5)``: index of the image, then x1, y1, x2, y2 in pixels of the input.
            roi_scale_factor: Enlarges each region about its centre.

        Returns:
            ``(K, out_channels, output_size, output_size)``.

        Raises:
            ValueError: On a CPU, for a row of ``rois`` that is not finite or names no image.
        """
        if not rois.is_cuda:  # there the kernel makes addresses of such numbers, and the process ends
            check_regions(rois, len(feats[0]))
        # In half precision, as mixed-precision training has it here, a coordinate above 1024 is off by up to half a
        # pixel; and torchvision's operator knows no bfloat16 on the CPU.
        wide = [feat.to(torch.promote_types(feat.dtype, torch.float32)) for feat in feats]
        return super().forward(wide, rois, roi_scale_factor).to(feats[0].dtype)
