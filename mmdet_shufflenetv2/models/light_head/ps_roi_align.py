"""Position-sensitive RoI align as a part of MMDetection's second stage."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from torch import Tensor
from torchvision.ops import PSRoIAlign

from ...compat.mmcv_ops._kernels import check_regions

__all__ = ['PSRoIAlignExtractor']


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
