"""The head of NanoDet-Plus: NanoDet-m's with larger depthwise kernels, trained with dynamic soft labels.

The predictions of an auxiliary head decide in every step which cell learns which box (see :mod:`.assign_guidance`).
The target of the class score of such a cell is the IoU of the auxiliary head's box.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import get_box_tensor
from mmdet.utils import reduce_mean
from mmengine.structures import InstanceData
from torch import Tensor

from .head import NanoDetHead

__all__ = ['NanoDetPlusHead', 'SoftTargets']


class SoftTargets(NamedTuple):
    """Targets of all cells of a batch, with the cells of all images concatenated."""

    #: ``(N * cells,)`` int64: class, or ``num_classes`` for background.
    labels: Tensor
    #: ``(N * cells,)``: IoU of the predicted box with the matched box; 0 for background.
    ious: Tensor
    #: ``(N * cells, 4)``: matched box as x1, y1, x2, y2 in pixels; 0 for background.
    boxes: Tensor


@MODELS.register_module()
class NanoDetPlusHead(NanoDetHead):
    """Head of NanoDet-Plus (NanoDet, ``nanodet/model/head/nanodet_plus_head.py``).

    Args:
        num_classes, in_channels, kernel_size, kwargs: Arguments of :class:`.NanoDetHead`. The center of a cell is at
            ``(x, y) * stride``, so ``anchor_generator`` needs ``center_offset=0``. ``train_cfg.assigner`` is
            MMDetection's ``DynamicSoftLabelAssigner``; see :meth:`assign`.
    """

    def __init__(self, num_classes: int, in_channels: int, *, kernel_size: int = 5, **kwargs: Any) -> None:
        super().__init__(num_classes, in_channels, kernel_size=kernel_size, **kwargs)

    def loss_by_feat(
        self,
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        batch_gt_instances: Sequence[InstanceData],
        batch_img_metas: Sequence[dict[str, Any]],
        batch_gt_instances_ignore: Sequence[InstanceData] | None = None,
        targets: SoftTargets | None = None,
    ) -> dict[str, Tensor]:
        """Compute the quality focal loss of all cells, and the GIoU and distribution focal loss of cells with a box.

        The box losses are weighted by the largest class score of the cell and divided by the sum of these weights.

        Args:
            cls_scores, bbox_preds: Outputs of :meth:`forward`.
            batch_gt_instances: Ground truth, one per image. Ignored boxes have no effect.
            batch_img_metas, batch_gt_instances_ignore: Not used.
            targets: Targets of the cells. None: :meth:`assign` computes them from these outputs.

        Returns:
            ``loss_cls``, ``loss_bbox`` and ``loss_dfl``.
        """
        if targets is None:
            targets = self.assign(cls_scores, bbox_preds, batch_gt_instances)
        logits, distances = _flattened(cls_scores), _flattened(bbox_preds)
        boxes = self._boxes(cls_scores, bbox_preds).flatten(0, 1)
        has_box = targets.labels < self.num_classes
        num_boxes = reduce_mean(has_box.sum().float()).clamp(min=1)
        loss_cls = self.loss_cls(logits.flatten(0, 1), (targets.labels, targets.ious), avg_factor=num_boxes)

        logits, distances = logits.flatten(0, 1)[has_box], distances.flatten(0, 1)[has_box]
        weight = logits.detach().sigmoid().max(dim=1).values
        total = reduce_mean(weight.sum()).clamp(min=1)
        centers, strides = (part.repeat(len(cls_scores[0]), 1)[has_box] for part in self._cells(cls_scores))
        expected = self.bbox_coder.encode(centers / strides, targets.boxes[has_box] / strides, self.reg_max)
        loss_bbox = self.loss_bbox(boxes[has_box], targets.boxes[has_box], weight=weight, avg_factor=total)
        loss_dfl = self.loss_dfl(
            distances.reshape(-1, self.reg_max + 1),
            expected.flatten(),
            weight=weight[:, None].expand(-1, 4).flatten(),
            avg_factor=4 * total,
        )
        return dict(loss_cls=loss_cls, loss_bbox=loss_bbox, loss_dfl=loss_dfl)

    @torch.no_grad()
    def assign(
        self, cls_scores: Sequence[Tensor], bbox_preds: Sequence[Tensor], batch_gt_instances: Sequence[InstanceData]
    ) -> SoftTargets:
        """Match cells with boxes by the predictions of a head.

        NanoDet's assigner is MMDetection's ``DynamicSoftLabelAssigner`` without the preference for cells near the
        center of a box: with a ``soft_center_radius`` of 1000, ``10 ** (distance - soft_center_radius)`` is always 0.

        Args:
            cls_scores, bbox_preds: Outputs of :meth:`forward`.
            batch_gt_instances: Ground truth, one per image.
        """
        boxes = self._boxes(cls_scores, bbox_preds)
        logits, (centers, strides) = _flattened(cls_scores), self._cells(cls_scores)
        priors = torch.cat((centers, strides, strides), dim=1)
        return SoftTargets(
            *map(
                torch.cat,
                zip(
                    *(
                        self._assign_image(InstanceData(priors=priors, bboxes=each_boxes, scores=each_logits), gt)
                        for each_boxes, each_logits, gt in zip(boxes, logits, batch_gt_instances, strict=True)
                    )
                ),
            )
        )

    def _assign_image(self, predicted: InstanceData, gt: InstanceData) -> SoftTargets:
        matched = self.assigner.assign(predicted, gt)
        cells = matched.gt_inds.nonzero()[:, 0]
        labels = matched.gt_inds.new_full((len(predicted),), self.num_classes)
        ious, boxes = predicted.bboxes.new_zeros(len(predicted)), torch.zeros_like(predicted.bboxes)
        labels[cells], ious[cells] = matched.labels[cells], matched.max_overlaps[cells]
        boxes[cells] = get_box_tensor(gt.bboxes)[matched.gt_inds[cells] - 1]
        return SoftTargets(labels, ious, boxes)

    def _boxes(self, cls_scores: Sequence[Tensor], bbox_preds: Sequence[Tensor]) -> Tensor:
        """Boxes of :meth:`decode` in float32: float16 coordinates above 256 have steps of a quarter of a pixel."""
        with torch.autocast(bbox_preds[0].device.type, enabled=False):
            return self.decode(cls_scores, bbox_preds)[0]

    def _cells(self, cls_scores: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Centers ``(cells, 2)`` and strides ``(cells, 1)`` of the cells of all levels, in pixels."""
        anchors = self.prior_generator.grid_priors(
            [scores.shape[-2:] for scores in cls_scores], dtype=torch.float32, device=cls_scores[0].device
        )
        strides = [
            level.new_full((len(level), 1), stride[0])
            for level, stride in zip(anchors, self.prior_generator.strides, strict=True)
        ]
        return torch.cat([self.anchor_center(level) for level in anchors]), torch.cat(strides)


def _flattened(levels: Sequence[Tensor]) -> Tensor:
    """One ``(N, C, H_i, W_i)`` per level -> ``(N, cells, C)``."""
    return torch.cat([level.permute(0, 2, 3, 1).flatten(1, 2) for level in levels], dim=1).float()
