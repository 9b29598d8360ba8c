"""A detector as one module of tensor operations, from an image to boxes, that can be traced into a graph.

MMDetection's own post-processing decides in Python how many boxes there are, and a trace would keep the numbers of the
one image that it was made with. Here the same steps are written with tensors alone; layers, anchors and box coders are
the detector's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import RetinaHead, RetinaSepBNHead, RPNHead
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch import Tensor, nn
from torchvision.ops import PSRoIAlign, roi_align

from ..errors import UserError
from ..nanodet import NanoDetHead
from .position_sensitive import ps_roi_align
from .suppression import check_min_size, check_nms, large_boxes, suppressed

__all__ = ['SUPPORTED', 'DetectionGraph']

SUPPORTED = ('RetinaHead', 'RetinaSepBNHead', 'NanoDetHead', 'RPNHead with StandardRoIHead (Faster R-CNN, Light-Head '
             'R-CNN) without masks')


class DetectionGraph(nn.Module):
    """What an exported file computes.

    Args:
        model: A detector of MMDetection in eval mode.
        center_pad: Width and height in pixels to which the image is padded on all sides; None pads on the right and at
            the bottom as the detector's data preprocessor says.

    Raises:
        UserError: If the detector has a head that is not supported, or filters its boxes as a graph cannot.
    """

    def __init__(self, model: nn.Module, center_pad: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.prepare = _Prepare(model.data_preprocessor, center_pad)
        self.backbone = model.backbone
        self.neck = getattr(model, 'neck', None)
        self.detect = _detection(model)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Detections in one image.

        Args:
            image: ``(H, W, 3)`` uint8, blue, green, red, as OpenCV reads it, resized as the config says.

        Returns:
            Boxes with scores ``(N, 5)``, best first: x1, y1, x2, y2 in pixels of ``image``, score. Labels ``(N)``.
        """
        x, size, offset = self.prepare(image)
        features = self.backbone(x)
        if self.neck is not None:
            features = self.neck(features)
        boxes, scores, labels = self.detect(features, size)
        height, width = torch._shape_as_tensor(image)[:2]
        boxes = _clipped(boxes - offset, torch.stack((width, height)))  # a border around the image is not part of it
        return torch.cat((boxes, scores[:, None]), dim=1), labels


class _Prepare(nn.Module):
    """Normalises an image and pads it: MMDetection's ``DetDataPreprocessor`` for a batch of one."""

    def __init__(self, preprocessor: nn.Module, center_pad: tuple[int, int] | None) -> None:
        super().__init__()
        self.register_buffer('mean', preprocessor.mean.clone())
        self.register_buffer('std', preprocessor.std.clone())
        self.register_buffer('channels', torch.tensor([2, 1, 0] if preprocessor._channel_conversion else [0, 1, 2]))
        self.divisor = preprocessor.pad_size_divisor
        self.value = float(preprocessor.pad_value)
        self.center_pad = center_pad

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The network's input; width and height to which boxes are clipped; what boxes are moved by, ``(1, 4)``."""
        x = image.permute(2, 0, 1).index_select(0, self.channels).float()
        x = ((x - self.mean) / self.std)[None]
        height, width = _size(x)
        if self.center_pad is None:
            below, right = (-height) % self.divisor, (-width) % self.divisor
            return F.pad(x, (0, right, 0, below), value=self.value), torch.stack((width, height)), x.new_zeros(1, 4)
        # The border of the letterbox is the mean: zero once normalised.
        to_width, to_height = self.center_pad
        left, above = (to_width - width) // 2, (to_height - height) // 2
        padded = F.pad(x, (left, to_width - width - left, above, to_height - height - above))
        size = torch.tensor(self.center_pad, device=x.device)
        return padded, size, torch.stack((left, above, left, above))[None].to(x.dtype)


def _size(x: Tensor) -> tuple[Tensor, Tensor]:
    """Height and width as tensors, which a trace keeps as inputs of what follows."""
    height, width = torch._shape_as_tensor(x)[-2:]
    return height, width


def _detection(model: nn.Module) -> nn.Module:
    if isinstance(model, TwoStageDetector):
        head = model.roi_head
        if isinstance(model.rpn_head, RPNHead) and type(head) is StandardRoIHead and not head.with_mask and isinstance(
                head.bbox_roi_extractor, SingleRoIExtractor):
            return _TwoStage(model)
    elif isinstance(model, SingleStageDetector):
        if isinstance(model.bbox_head, NanoDetHead):
            return _NanoDet(model.bbox_head, model.test_cfg)
        if isinstance(model.bbox_head, (RetinaHead, RetinaSepBNHead)):
            return _Retina(model.bbox_head, model.test_cfg)
    heads = [type(getattr(model, name)).__name__ for name in ('rpn_head', 'roi_head', 'bbox_head')
             if hasattr(model, name)]
    raise UserError(f'{type(model).__name__} with {" and ".join(heads) or "no head"} cannot be exported to a graph '
                    f'with boxes. Supported are {"; ".join(SUPPORTED)}. Any backbone can be exported: --backbone-only.')


class _OneStage(nn.Module):
    """One-stage head: what its cells or anchors find, filtered."""

    def __init__(self, head: nn.Module, cfg: Any) -> None:
        super().__init__()
        check_nms(cfg.get('nms'), 'model.test_cfg.nms')
        check_min_size(cfg, 'model.test_cfg')
        self.head = head
        self.cfg = cfg

    def forward(self, features: Sequence[Tensor], size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        boxes, scores, labels = self.candidates(features)
        return suppressed(*large_boxes(_clipped(boxes, size), scores, labels, self.cfg), self.cfg)

    def candidates(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes ``(K, 4)``, scores and labels of the best."""
        raise NotImplementedError


class _Retina(_OneStage):
    """Head with anchors, :class:`RetinaHead` or :class:`RetinaSepBNHead`."""

    def candidates(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        return _best_anchors(
            self.head, features, self.cfg.get('nms_pre', -1), self.cfg.score_thr, self.head.cls_out_channels)


class _NanoDet(_OneStage):
    """:class:`.NanoDetHead`, whose own ``decode`` is made of tensor operations."""

    def candidates(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        boxes, scores = self.head.decode(*self.head(features))
        scores, place = _top(scores.flatten(), self.cfg.get('nms_pre', -1), self.cfg.score_thr)
        classes = self.head.cls_out_channels
        return boxes[0].index_select(0, place // classes), scores, place % classes


class _TwoStage(nn.Module):
    """Proposals, what they show, and their classes and boxes."""

    def __init__(self, model: TwoStageDetector) -> None:
        super().__init__()
        self.rpn = model.rpn_head
        self.extractor = model.roi_head.bbox_roi_extractor
        self.head = model.roi_head.bbox_head
        self.rpn_cfg = model.test_cfg.rpn
        self.cfg = model.test_cfg.rcnn
        check_nms(self.rpn_cfg.get('nms'), 'model.test_cfg.rpn.nms')
        check_nms(self.cfg.get('nms'), 'model.test_cfg.rcnn.nms')

    def forward(self, features: Sequence[Tensor], size: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        proposals = self._proposals(features, size)
        proposals, shown = self._shown(features, proposals)
        logits, deltas = self.head(shown)
        scores = logits.softmax(-1)[:, :-1]
        classes = scores.shape[1]
        boxes = self.head.bbox_coder.decode(proposals, deltas)
        if self.head.reg_class_agnostic:
            boxes = boxes.repeat(1, classes)
        found = (scores.flatten() > self.cfg.score_thr).nonzero()[:, 0]
        boxes = _clipped(boxes.reshape(-1, 4).index_select(0, found), size)
        return suppressed(boxes, scores.flatten().index_select(0, found), found % classes, self.cfg)

    def _proposals(self, features: Sequence[Tensor], size: Tensor) -> Tensor:
        boxes, scores, levels = _best_anchors(self.rpn, features, self.rpn_cfg.get('nms_pre', -1), None, 1)
        return suppressed(*large_boxes(_clipped(boxes, size), scores, levels, self.rpn_cfg), self.rpn_cfg)[0]

    def _shown(self, features: Sequence[Tensor], proposals: Tensor) -> tuple[Tensor, Tensor]:
        """Proposals grouped by the level that they are read from, and what is read."""
        layers = self.extractor.roi_layers
        rois = torch.cat((torch.zeros_like(proposals[:, :1]), proposals), dim=1)
        if len(layers) == 1:
            return proposals, _pooled(features[0], rois, layers[0])
        levels = self.extractor.map_roi_levels(rois, len(layers))
        groups = [rois.index_select(0, (levels == level).nonzero()[:, 0]) for level in range(len(layers))]
        shown = [_pooled(feature, group, layer) for feature, group, layer in zip(features, groups, layers)]
        return torch.cat(groups)[:, 1:], torch.cat(shown)


def _pooled(feature: Tensor, rois: Tensor, layer: nn.Module) -> Tensor:
    if isinstance(layer, PSRoIAlign):
        return ps_roi_align(feature, rois, layer.output_size, layer.spatial_scale, layer.sampling_ratio)
    return roi_align(feature, rois, layer.output_size, layer.spatial_scale, layer.sampling_ratio, layer.aligned)


def _best_anchors(head: RetinaHead | RetinaSepBNHead | RPNHead, features: Sequence[Tensor], most: int,
                  score_thr: float | None, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Decoded boxes ``(K, 4)``, scores and labels of the best anchors of each level; an RPN's label is the level."""
    cls_scores, bbox_preds = head(features)
    anchors = head.prior_generator.grid_priors(
        [scores.shape[-2:] for scores in cls_scores], dtype=cls_scores[0].dtype, device=cls_scores[0].device)
    best: list[tuple[Tensor, Tensor, Tensor]] = []
    for level, (logits, deltas, priors) in enumerate(zip(cls_scores, bbox_preds, anchors)):
        logits = logits[0].permute(1, 2, 0).reshape(-1, head.cls_out_channels)
        scores = logits.sigmoid() if head.use_sigmoid_cls else logits.softmax(-1)[:, :-1]
        scores, place = _top(scores.flatten(), most, score_thr)
        anchor = place // classes
        deltas = deltas[0].permute(1, 2, 0).reshape(-1, 4).index_select(0, anchor)
        boxes = head.bbox_coder.decode(priors.index_select(0, anchor), deltas)
        labels = torch.full_like(place, level) if isinstance(head, RPNHead) else place % classes
        best.append((boxes, scores, labels))
    boxes, scores, labels = (torch.cat(tensors) for tensors in zip(*best))
    return boxes, scores, labels


def _top(scores: Tensor, most: int, score_thr: float | None) -> tuple[Tensor, Tensor]:
    """The ``most`` highest scores that are above the threshold, and their places."""
    if most > 0:
        # A graph's number of results is fixed, so there are always enough: what is filled up is below any threshold.
        scores, place = F.pad(scores, (0, most), value=-1.0).topk(most)
        kept = (scores > (0.0 if score_thr is None else score_thr)).nonzero()[:, 0]
        return scores.index_select(0, kept), place.index_select(0, kept)
    place = (scores > (score_thr or 0.0)).nonzero()[:, 0]
    return scores.index_select(0, place), place


def _clipped(boxes: Tensor, size: Tensor) -> Tensor:
    """Boxes ``(N, 4)`` within ``size``, width and height."""
    return boxes.clamp(min=0).minimum(size.repeat(2).to(boxes.dtype))
