"""The head of NanoDet-m: Generalized Focal Loss (Li et al., NeurIPS 2020) on towers of depthwise convolutions.

A cell predicts a score per class, which estimates the IoU of its box, and the distances from its center to the left,
top, right and bottom of the box, each as a distribution over 0 to ``reg_max`` strides. Unlike in MMDetection's
``GFLHead``, each level has its own tower, classes and boxes share it, and its convolutions are depthwise separable.
Losses and the assignment of boxes to cells (ATSS) are ``GFLHead``'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from mmcv.cnn import DepthwiseSeparableConvModule
from mmdet.models.dense_heads import GFLHead
from mmdet.models.utils import filter_scores_and_topk, multi_apply
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ...compat.private import bbox_post_process
from ..backbones.norm_eval import set_batch_norms_to_eval
from .center_pad import top_left_padding

__all__ = ['NanoDetHead']


@MODELS.register_module()
class NanoDetHead(GFLHead):
    """Head of NanoDet-m (NanoDet, ``nanodet/model/head/nanodet_head.py`` with ``share_cls_reg``).

    Args:
        num_classes: Number of classes.
        in_channels: Channels of every level.
        feat_channels: Channels of the towers.
        stacked_convs: Depthwise separable convolutions per tower.
        kernel_size: Kernel size of the depthwise convolutions.
        reg_max: Largest distance that a cell can predict, in strides.
        norm_cfg, act_cfg: Layer configs as in MMDetection.
        norm_eval: Keep all batch norms in eval mode while training; needed for weights with folded norms.
        kwargs: Arguments of ``mmdet.models.GFLHead``. Its ``anchor_generator`` defines the centers of the cells: the
            strides, and ``center_offset=0.5`` for ``(x + 0.5) * stride``. Only ATSS uses the size of the anchors.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        feat_channels: int = 96,
        stacked_convs: int = 2,
        kernel_size: int = 3,
        reg_max: int = 7,
        norm_cfg: dict[str, Any] | None = None,
        act_cfg: dict[str, Any] | None = None,
        norm_eval: bool = False,
        **kwargs: Any,
    ) -> None:
        self.kernel_size = kernel_size
        self.act_cfg = act_cfg or dict(type='LeakyReLU', negative_slope=0.1)
        self.norm_eval = norm_eval
        super().__init__(
            num_classes,
            in_channels,
            stacked_convs=stacked_convs,
            norm_cfg=norm_cfg or dict(type='BN'),
            reg_max=reg_max,
            feat_channels=feat_channels,
            **kwargs,
        )

    def _init_layers(self) -> None:
        levels = range(len(self.prior_generator.strides))
        self.cls_convs = nn.ModuleList(self._tower() for _ in levels)
        self.gfl_cls = nn.ModuleList(nn.Conv2d(self.feat_channels, sum(self._output_channels), 1) for _ in levels)

    def _tower(self) -> nn.Sequential:
        widths = [self.in_channels] + [self.feat_channels] * self.stacked_convs
        return nn.Sequential(
            *(
                DepthwiseSeparableConvModule(
                    a, b, self.kernel_size, padding=self.kernel_size // 2, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg
                )
                for a, b in pairwise(widths)
            )
        )

    @property
    def box_channels(self) -> int:
        """Number of distance outputs, which follow the class outputs in each level's last layer."""
        return 4 * (self.reg_max + 1)

    @property
    def _output_channels(self) -> tuple[int, int]:
        return self.cls_out_channels, self.box_channels

    def train(self, mode: bool = True) -> NanoDetHead:
        """Set the mode; with ``norm_eval`` all batch norms stay in eval mode."""
        super().train(mode)
        if self.norm_eval:
            set_batch_norms_to_eval(self)
        return self

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Compute the raw outputs of all levels.

        Args:
            x: One ``(N, in_channels, H_i, W_i)`` per level.

        Returns:
            Class logits, one ``(N, num_classes, H_i, W_i)`` per level, and distance logits, one
            ``(N, 4 * (reg_max + 1), H_i, W_i)`` per level.
        """
        return multi_apply(self.forward_single, x, self.cls_convs, self.gfl_cls)

    def forward_single(self, x: Tensor, tower: nn.Module, output: nn.Module) -> tuple[Tensor, Tensor]:
        """:meth:`forward` for one level."""
        cls_score, bbox_pred = output(tower(x)).split(self._output_channels, dim=1)
        return cls_score, bbox_pred.float()

    def decode(self, cls_scores: Sequence[Tensor], bbox_preds: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Decode the boxes and scores of all cells, with tensor operations only, so that it can be traced.

        Args:
            cls_scores, bbox_preds: Outputs of :meth:`forward`.

        Returns:
            Boxes ``(N, cells, 4)`` as x1, y1, x2, y2 in pixels of the network's input, not clipped, and scores from 0
            to 1, ``(N, cells, num_classes)``. The cells of the first level come first, in row-major order.
        """
        priors = self.prior_generator.grid_priors(
            [scores.shape[-2:] for scores in cls_scores], dtype=bbox_preds[0].dtype, device=bbox_preds[0].device
        )
        boxes = []
        for bbox_pred, stride, level in zip(bbox_preds, self.prior_generator.strides, priors, strict=True):
            batch = bbox_pred.shape[0]
            distances = self.integral(bbox_pred.permute(0, 2, 3, 1)).reshape(batch, -1, 4) * stride[0]
            centers = self.anchor_center(level).expand(batch, -1, -1)
            boxes.append(self.bbox_coder.decode(centers, distances))
        scores = [cls_score.permute(0, 2, 3, 1).flatten(1, 2).sigmoid() for cls_score in cls_scores]
        return torch.cat(boxes, dim=1), torch.cat(scores, dim=1)

    def predict_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        score_factors: None = None,
        batch_img_metas: Sequence[dict[str, Any]] = (),
        cfg: ConfigDict | None = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """Compute the detections in a batch of images; arguments as in ``mmdet.models.BaseDenseHead``.

        Returns:
            One ``InstanceData`` per image with ``bboxes``, ``scores`` and ``labels``, best score first. With
            ``rescale`` the boxes are in pixels of the original image, without the ``padding`` of :class:`.CenterPad`,
            and clipped to it. Otherwise they are clipped to the network's input.
        """
        cfg = cfg or self.test_cfg
        detections = []
        for boxes, scores, img_meta in zip(*self.decode(cls_scores, bbox_preds), batch_img_metas, strict=True):
            scores, labels, cells, _ = filter_scores_and_topk(
                scores.detach(), cfg.score_thr, cfg.get('nms_pre', scores.numel())
            )
            height, width = img_meta['img_shape'][:2]
            # As in NanoDet, boxes are clipped to the network's input before NMS, and to the image after it.
            bboxes = boxes.detach()[cells].clamp(min=0).minimum(boxes.new_tensor([width, height, width, height]))
            if rescale:
                bboxes = bboxes - boxes.new_tensor(top_left_padding(img_meta) * 2)
            results = bbox_post_process(
                self,
                InstanceData(bboxes=bboxes, scores=scores, labels=labels),
                cfg=cfg,
                rescale=rescale,
                with_nms=with_nms,
                img_meta=img_meta,
            )
            if rescale:
                height, width = img_meta['ori_shape'][:2]
                results.bboxes = results.bboxes.clamp(min=0).minimum(boxes.new_tensor([width, height, width, height]))
            detections.append(results)
        return detections
