"""A detector as one module of tensor operations, from an image to boxes, that can be traced into a graph.

MMDetection's own post-processing decides in Python how many boxes there are, and a trace would keep the numbers of the
one image that it was made with. Here the same steps are written with tensors alone; layers, anchors and box coders are
the detector's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmcv.ops import RoIAlign
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.models.dense_heads import RetinaHead, RetinaSepBNHead, RPNHead
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch import Tensor, nn
from torchvision.ops import PSRoIAlign, roi_align

from ..compat.private import normalizes, shape_as_tensor, swaps_channels
from ..models.nanodet import NanoDetHead
from ..utils.errors import UserError
from .position_sensitive import ps_roi_align
from .suppression import check_min_size, check_most, check_nms, large_boxes, suppressed

__all__ = [
    'ANCHORS', 'CANDIDATES', 'ROIS', 'SUPPORTED', 'CenterPadding', 'DetectionGraph', 'feature_names', 'raw_names']

#: Boxes, scores and labels that enter the last NMS; those that enter the RPN's; what the second stage says of each RoI.
CANDIDATES = ('candidate_boxes', 'candidate_scores', 'candidate_labels')
ANCHORS = ('anchor_boxes', 'anchor_scores', 'anchor_levels')
ROIS = ('rois', 'roi_logits', 'roi_deltas')

SUPPORTED = ('RetinaHead', 'RetinaSepBNHead', 'NanoDetHead', 'RPNHead with StandardRoIHead (Faster R-CNN, Light-Head '
             'R-CNN) without masks')


#: Boxes ``(K, 4)``, scores and labels.
_Boxes = tuple[Tensor, Tensor, Tensor]


class DetectionGraph(nn.Module):
    """What an exported file computes.

    Args:
        model: A detector of MMDetection in eval mode.
        center_pad: How the image is padded on all sides before the detector's data preprocessor pads it on the right
            and at the bottom; None for not at all.

    Attributes:
        part_names: Names of what :meth:`forward` returns behind boxes and labels.

    Raises:
        UserError: If the detector has a head that is not supported, or filters its boxes as a graph cannot.
    """

    def __init__(self, model: nn.Module, center_pad: CenterPadding | None = None) -> None:
        super().__init__()
        self.prepare = _Prepare(model.data_preprocessor, center_pad)
        self.backbone = model.backbone
        self.neck = getattr(model, 'neck', None)
        self.detect = _detection(model)
        self.part_names = ('input', *self.detect.part_names)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Detections in one image.

        Args:
            image: ``(H, W, 3)`` uint8, blue, green, red, as OpenCV reads it, resized as the config says.

        Returns:
            Boxes with scores ``(N, 5)``, best first: x1, y1, x2, y2 in pixels of ``image``, score. Labels ``(N)``.
            Then what they were made of, for the check: see ``part_names``.
        """
        x, size, offset = self.prepare(image)
        features = self.backbone(x)
        if self.neck is not None:
            features = self.neck(features)
        (boxes, scores, labels), parts = self.detect(features, size)
        height, width = shape_as_tensor(image)[:2]
        boxes = _clipped(boxes - offset, torch.stack((width, height)))  # a border around the image is not part of it
        return torch.cat((boxes, scores[:, None]), dim=1), labels, x, *parts


class CenterPadding(NamedTuple):
    """What :class:`.CenterPad` does."""

    #: Width and height in pixels.
    size: tuple[int, int]
    #: Value of the border for each channel of the image.
    value: tuple[float, ...]


class _Prepare(nn.Module):
    """Pads and normalises an image: MMDetection's ``DetDataPreprocessor`` for a batch of one."""

    def __init__(self, preprocessor: nn.Module, center_pad: CenterPadding | None) -> None:
        super().__init__()
        if type(preprocessor) is not DetDataPreprocessor:
            raise UserError(f'A {type(preprocessor).__name__} cannot be exported: expected '
                            f"model.data_preprocessor=dict(type='DetDataPreprocessor', ...).")
        normalized = normalizes(preprocessor)
        self.register_buffer('mean', preprocessor.mean.clone() if normalized else torch.zeros(3, 1, 1))
        self.register_buffer('std', preprocessor.std.clone() if normalized else torch.ones(3, 1, 1))
        channels = torch.tensor([2, 1, 0] if swaps_channels(preprocessor) else [0, 1, 2])
        self.register_buffer('channels', channels)
        self.divisor = preprocessor.pad_size_divisor
        self.value = float(preprocessor.pad_value)
        self.center_pad = center_pad
        if center_pad is not None:
            value = torch.tensor(center_pad.value, dtype=torch.float32)[channels].view(3, 1, 1)
            self.register_buffer('border', (value - self.mean) / self.std)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The network's input; width and height to which boxes are clipped; what boxes are moved by, ``(1, 4)``."""
        x = image.permute(2, 0, 1).index_select(0, self.channels).float()
        x = ((x - self.mean) / self.std)[None]
        height, width = shape_as_tensor(x)[-2:]  # tensors, which a trace keeps as inputs of what follows
        size, offset = torch.stack((width, height)), x.new_zeros(1, 4)
        if self.center_pad is not None:
            to_width, to_height = self.center_pad.size
            left, above = (to_width - width) // 2, (to_height - height) // 2
            sides = (left, to_width - width - left, above, to_height - height - above)
            # The border of NanoDet's letterbox is the mean: zero once normalised.
            x = F.pad(x - self.border, sides) + self.border if self.border.any() else F.pad(x, sides)
            size = torch.tensor(self.center_pad.size, device=x.device)
            offset = torch.stack((left, above, left, above))[None].to(x.dtype)
            width, height = self.center_pad.size
        below, right = (-height) % self.divisor, (-width) % self.divisor
        if not (self.center_pad and below == right == 0):
            x = F.pad(x, (0, right, 0, below), value=self.value)
        return x, size, offset


def feature_names(number: int) -> tuple[str, ...]:
    """Names of the first so many features that a head reads."""
    return tuple(f'feature{level}' for level in range(number))


def raw_names(head: nn.Module, prefix: str = '') -> tuple[str, ...]:
    """Names of a dense head's outputs: the logits of all levels, then their boxes."""
    levels = range(len(head.prior_generator.strides))
    return tuple(f'{prefix}{kind}{level}' for kind in ('logits', 'deltas') for level in levels)


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
                    f'with boxes. Supported are {"; ".join(SUPPORTED)}. Any backbone can be exported: '
                    f'backbone_only=True.')


class _OneStage(nn.Module):
    """One-stage head: what its cells or anchors find (``candidates`` of its subclasses), filtered."""

    def __init__(self, head: nn.Module, cfg: Any) -> None:
        super().__init__()
        check_nms(cfg.get('nms'), 'model.test_cfg.nms')
        check_min_size(cfg, 'model.test_cfg')
        check_most(cfg, 'max_per_img', 'model.test_cfg')
        if 'nms_pre' in cfg or not isinstance(head, NanoDetHead):
            check_most(cfg, 'nms_pre', 'model.test_cfg', -1)
        self.head = head
        self.cfg = cfg
        self.part_names = (*feature_names(len(head.prior_generator.strides)), *raw_names(head), *CANDIDATES)

    def forward(self, features: Sequence[Tensor], size: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Boxes, scores and labels; and the parts."""
        raw = self.head(features)
        candidates = self.candidates(*raw, size)
        found = suppressed(*large_boxes(*candidates, self.cfg), self.cfg, self.head.cls_out_channels)
        return found, (*features, *raw[0], *raw[1], *candidates)


class _Retina(_OneStage):
    """Head with anchors, :class:`RetinaHead` or :class:`RetinaSepBNHead`."""

    def candidates(self, cls_scores: Sequence[Tensor], bbox_preds: Sequence[Tensor], size: Tensor) -> _Boxes:
        return _best_anchors(self.head, cls_scores, bbox_preds, size, self.cfg.nms_pre, self.cfg.get('score_thr', 0))


class _NanoDet(_OneStage):
    """:class:`.NanoDetHead`, whose own ``decode`` is made of tensor operations."""

    def candidates(self, cls_scores: Sequence[Tensor], bbox_preds: Sequence[Tensor], size: Tensor) -> _Boxes:
        boxes, scores = self.head.decode(cls_scores, bbox_preds)
        scores, place = _top(scores.flatten(), self.cfg.get('nms_pre', -1), self.cfg.score_thr)
        classes = self.head.cls_out_channels
        return _clipped(boxes[0].index_select(0, place // classes), size), scores, place % classes


class _TwoStage(nn.Module):
    """Proposals, what they show, and their classes and boxes."""

    def __init__(self, model: TwoStageDetector) -> None:
        super().__init__()
        self.rpn = model.rpn_head
        self.roi_head = model.roi_head
        self.extractor = model.roi_head.bbox_roi_extractor
        self.head = model.roi_head.bbox_head
        self.rpn_cfg = model.test_cfg.rpn
        self.cfg = model.test_cfg.rcnn
        check_nms(self.rpn_cfg.get('nms'), 'model.test_cfg.rpn.nms')
        check_nms(self.cfg.get('nms'), 'model.test_cfg.rcnn.nms')
        check_most(self.rpn_cfg, 'max_per_img', 'model.test_cfg.rpn')
        for layer in self.extractor.roi_layers:
            _check_roi_layer(layer)
        self.part_names = (
            *feature_names(self.extractor.num_inputs), *raw_names(self.rpn, 'rpn_'), *ANCHORS, 'proposals', *ROIS,
            *CANDIDATES)

    def forward(self, features: Sequence[Tensor], size: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Boxes, scores and labels; and the parts."""
        raw = self.rpn(features)
        anchors = _best_anchors(self.rpn, *raw, size, self.rpn_cfg.get('nms_pre', -1), None)
        proposals = suppressed(*large_boxes(*anchors, self.rpn_cfg), self.rpn_cfg, len(raw[0]))[0]
        rois, shown = self._shown(features, proposals)
        logits, deltas = self.head(shown)
        candidates = self._candidates(rois, logits, deltas, size)
        read = features[:self.extractor.num_inputs]
        return (suppressed(*candidates, self.cfg, self.head.num_classes),
                (*read, *raw[0], *raw[1], *anchors, proposals, rois, logits, deltas, *candidates))

    def _candidates(self, rois: Tensor, logits: Tensor, deltas: Tensor, size: Tensor) -> _Boxes:
        scores = logits.softmax(-1)[:, :-1]
        classes = scores.shape[1]
        boxes = self.head.bbox_coder.decode(rois[:, 1:], deltas)
        if self.head.reg_class_agnostic:
            boxes = boxes.repeat(1, classes)
        found = (scores.flatten() > self.cfg.score_thr).nonzero()[:, 0]
        boxes = _clipped(boxes.reshape(-1, 4).index_select(0, found), size)
        return boxes, scores.flatten().index_select(0, found), found % classes

    def _shown(self, features: Sequence[Tensor], proposals: Tensor) -> tuple[Tensor, Tensor]:
        """RoIs ``(K, 5)`` grouped by the level that they are read from, and what is read."""
        layers = self.extractor.roi_layers
        rois = torch.cat((torch.zeros_like(proposals[:, :1]), proposals), dim=1)
        if len(layers) == 1:
            shown = _pooled(features[0], rois, layers[0])
        else:
            levels = _levels(rois, self.extractor)
            groups = [rois.index_select(0, (levels == level).nonzero()[:, 0]) for level in range(len(layers))]
            shown = torch.cat([
                _pooled(feature, group, layer) for feature, group, layer in zip(features, groups, layers)])
            rois = torch.cat(groups)
        return rois, self.roi_head.shared_head(shown) if self.roi_head.with_shared_head else shown


def _levels(rois: Tensor, extractor: SingleRoIExtractor) -> Tensor:
    """``SingleRoIExtractor.map_roi_levels``, without areas: half precision ends at 65504, 256 pixels squared."""
    sides = (rois[:, 3:] - rois[:, 1:3]).sqrt()
    levels = torch.log2(sides[:, 0] * sides[:, 1] / extractor.finest_scale + 1e-6).floor()
    return levels.clamp(min=0, max=len(extractor.roi_layers) - 1).long()


def _check_roi_layer(layer: nn.Module) -> None:
    if isinstance(layer, PSRoIAlign):
        fits, options = layer.sampling_ratio > 0, f'sampling_ratio={layer.sampling_ratio}'
    else:
        pool_mode = getattr(layer, 'pool_mode', None)
        fits, options = isinstance(layer, RoIAlign) and pool_mode == 'avg', f'pool_mode={pool_mode!r}'
    if not fits:
        raise UserError(f'model.roi_head.bbox_roi_extractor has a {type(layer).__name__} with {options}, which a graph '
                        f"cannot do: expected RoIAlign with pool_mode='avg', or PSRoIAlign with sampling_ratio=2.")


def _pooled(feature: Tensor, rois: Tensor, layer: nn.Module) -> Tensor:
    if isinstance(layer, PSRoIAlign):
        return ps_roi_align(feature, rois, layer.output_size, layer.spatial_scale, layer.sampling_ratio)
    return roi_align(feature, rois, layer.output_size, layer.spatial_scale, layer.sampling_ratio, layer.aligned)


def _best_anchors(head: RetinaHead | RetinaSepBNHead | RPNHead, cls_scores: Sequence[Tensor],
                  bbox_preds: Sequence[Tensor], size: Tensor, most: int, score_thr: float | None) -> _Boxes:
    """Boxes ``(K, 4)``, scores and labels of the best anchors of each level; an RPN's label is the level."""
    classes = head.cls_out_channels if head.use_sigmoid_cls else head.cls_out_channels - 1
    anchors = head.prior_generator.grid_priors(
        [scores.shape[-2:] for scores in cls_scores], dtype=cls_scores[0].dtype, device=cls_scores[0].device)
    best: list[_Boxes] = []
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
    return _clipped(boxes, size), scores, labels


def _top(scores: Tensor, most: int, score_thr: float | None) -> tuple[Tensor, Tensor]:
    """The ``most`` highest scores that are above the threshold, and their places."""
    if score_thr is None:
        score_thr = -0.5  # all: none is negative
    if most > 0:
        # A graph's number of results is fixed, so there are always enough: what is filled up is below any threshold.
        scores, place = F.pad(scores, (0, most), value=-1.0).topk(most)
        kept = (scores > max(score_thr, -0.5)).nonzero()[:, 0]
        return scores.index_select(0, kept), place.index_select(0, kept)
    place = (scores > score_thr).nonzero()[:, 0]
    return scores.index_select(0, place), place


def _clipped(boxes: Tensor, size: Tensor) -> Tensor:
    """Boxes ``(N, 4)`` within ``size``, width and height."""
    return boxes.clamp(min=0).minimum(size.repeat(2).to(boxes.dtype))
