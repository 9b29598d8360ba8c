"""Comparing an exported file with the detector, part by part.

Which detections a whole image gives can hang on the last bit of two scores that are nearly equal, so that the same
detector gives others on another machine. What can be compared are its parts, each on the same input as the detector's
own: the network's outputs for every anchor, cell or RoI within a tolerance; the choice of the best and the decoding of
boxes, and NMS, on numbers made for it, of which no two are so near one another that rounding matters. The parts are cut
out of the file that is checked, and together they are all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnx
import torch
from mmcv.transforms import Compose
from mmdet.apis import inference_detector
from mmdet.models.layers import multiclass_nms
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..compat.patches import replaced
from ..compat.private import bbox_post_process, roi_outputs
from ..models.nanodet import NanoDetHead
from ..utils.errors import UserError
from .exported import Detections, ExportedDetector
from .graph import ANCHORS, CANDIDATES, ROIS, feature_names, raw_names
from .resizing import Resize
from .targets.onnxruntime import session

__all__ = ['Checked', 'check_detector', 'check_features', 'matched_detections']

#: Largest difference of the network's outputs: of their range, and of the largest, which rounding may take.
TOLERANCE, ROUNDING = 5e-5, 5e-6
#: Largest difference of scores and of boxes in pixels that are computed from the same outputs.
SCORE_TOLERANCE, BOX_TOLERANCE = 1e-5, 0.05
#: From when on a detection of the whole image counts as the same: score, and pixels.
SAME_SCORE, SAME_BOX = 1e-3, 0.05


class Checked(NamedTuple):
    """What comparing an exported file with the detector gave."""

    #: What they were compared on.
    image: str
    #: The detector's detections on it; 0 for a backbone.
    found: int
    #: Largest difference of scores, of all anchors, cells and RoIs, or, of the largest one, of features.
    difference: float
    #: Largest difference of boxes in pixels.
    box_difference: float
    #: How many of the detections the file finds too. Where it is fewer, rounding has decided between near-equal scores.
    matched: int = 0


@torch.no_grad()
def check_detector(model: nn.Module, path: Path, picture: np.ndarray, shown: str) -> Checked:
    """Compare a file with the detector that it was made of.

    Args:
        model: The detector with its ``cfg``, in eval mode on the CPU.
        path: The file.
        picture: ``(H, W, 3)`` uint8, blue, green, red.
        shown: What to call it.

    Raises:
        UserError: If a part of the file computes something else.
    """
    detector, parts = ExportedDetector(path), _Parts(path)
    two_stage = hasattr(model, 'roi_head')
    dense, prefix, chosen = (model.rpn_head, 'rpn_', ANCHORS) if two_stage else (model.bbox_head, '', CANDIDATES)
    names = raw_names(dense, prefix)
    levels = model.roi_head.bbox_roi_extractor.num_inputs if two_stage else len(names) // 2
    rng = np.random.default_rng(0)
    differences = []
    for image in _to_be_resized(picture, detector.resize):
        meta, x = _prepared(model, image)
        features = model.extract_feat(x)
        wanted = [tensor.numpy() for outputs in dense(features) for tensor in outputs]
        resized = dict(image=detector.resized(image))
        got = _check_network(parts, resized, names, x, features[:levels], wanted)
        differences.append(_decoded_difference(dense, got, wanted, meta))
    # All that follows depends on the size of the image alone, which is not the one that the file was traced with.
    # More in each level than are taken, and fewer, where the threshold alone decides; without one ties would be taken.
    for share in (1.4, 0.5) if (dense.test_cfg.get('score_thr') or -1) >= 0 else (1.4, ):
        made = _made_outputs(dense, wanted, rng, share)
        _same_candidates(
            'anchors' if two_stage else 'candidates', parts(resized | dict(zip(names, made)), chosen),
            _dense_candidates(dense, made, meta))
    least = dense.test_cfg.get('min_bbox_size', -1)
    classes = len(names) // 2 if two_stage else len(model.dataset_meta['classes'])
    some = _made_candidates(dense.test_cfg, classes, least, rng)
    if not two_stage:
        dets, labels = parts(resized | dict(zip(CANDIDATES, some)), ('dets', 'labels'))
        expected = _clipped(_dense_suppressed(dense, some, meta), resized['image'])
        _same_detections('NMS', Detections(dets[:, :4], dets[:, 4], labels), expected)
    else:
        proposals, = parts(resized | dict(zip(ANCHORS, some)), ('proposals', ))
        expected = _dense_suppressed(dense, some, meta)
        _same_detections('NMS of the proposals', expected._replace(boxes=proposals), expected)
        differences.append(_check_second_stage(model, parts, resized, features, meta, rng))
    difference, box_difference = np.max(differences, axis=0)
    return Checked(shown, len(_detect(model, picture).scores), float(difference), float(box_difference))


@torch.no_grad()
def matched_detections(model: nn.Module, detector: ExportedDetector, picture: np.ndarray) -> int:
    """How many of the detections in an image the file finds too."""
    return _matched(_detect(model, picture), detector(picture))


def check_features(got: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> float:
    """The largest difference of features, of the largest one; raise a :class:`UserError` if it is too large."""
    _same('features', got, wanted)
    return _largest(got, wanted) / (max(float(np.abs(one).max()) for one in wanted) or 1.0)


def _check_network(parts: _Parts, resized: dict[str, np.ndarray], names: Sequence[str], x: Tensor,
                   features: Sequence[Tensor], wanted: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The file's outputs for all anchors or cells, if they and all before them are the detector's."""
    prepared, *got = parts(resized, ('input', *feature_names(len(features)), *names))
    _same('the input of the network (how an image is resized, padded and normalised)', [prepared], [x.numpy()])
    _same('features', got[:len(features)], [feature.numpy() for feature in features])
    got, half = got[len(features):], len(names) // 2
    _same('outputs for scores', got[:half], wanted[:half])
    _same('outputs for boxes', got[half:], wanted[half:])
    return got


def _check_second_stage(model: nn.Module, parts: _Parts, resized: dict[str, np.ndarray], features: Sequence[Tensor],
                        meta: dict[str, Any], rng: np.random.Generator) -> tuple[float, float]:
    """What is computed of each of some given RoIs, then what becomes of it. Returns differences as decoded."""
    head, cfg = model.roi_head.bbox_head, model.roi_head.test_cfg
    names = feature_names(model.roi_head.bbox_roi_extractor.num_inputs)
    read = {name: feature.numpy() for name, feature in zip(names, features)}
    proposals = _made_proposals(meta['img_shape'], rng)
    rois, logits, deltas = parts(resized | read | dict(proposals=proposals), ROIS)
    if not np.array_equal(np.sort(rois[:, 1:], axis=0), np.sort(proposals, axis=0)):
        raise _differs('RoIs', 'they are not the proposals')
    expected = roi_outputs(model.roi_head, features, torch.from_numpy(rois))
    wanted = (rois, expected['cls_score'].numpy(), expected['bbox_pred'].numpy())
    _same('scores of given RoIs', [logits], wanted[1:2])
    _same('boxes of given RoIs', [deltas], wanted[2:])
    scores_and_boxes = [_roi_candidates(head, one, meta, None) for one in ((rois, logits, deltas), wanted)]

    score = np.full_like(logits, _COLD)
    score[:, -1] = 0  # the background
    score[np.arange(len(rois)), rng.integers(head.num_classes, size=len(rois))] = _logits(
        _made_scores(len(rois), cfg.score_thr, rng))
    made = (rois, score, rng.normal(0, 1, deltas.shape).astype(np.float32))
    _same_candidates('candidates', parts(resized | dict(zip(ROIS, made)), CANDIDATES),
                     _roi_candidates(head, made, meta, ConfigDict(score_thr=cfg.score_thr, nms=None, max_per_img=-1)))

    boxes, scores, labels = some = _made_candidates(cfg, head.num_classes, -1, rng)
    dets, found = parts(resized | dict(zip(CANDIDATES, some)), ('dets', 'labels'))
    of_class = np.zeros((len(scores), head.num_classes + 1), np.float32)
    of_class[np.arange(len(scores)), labels] = scores
    wanted_dets, wanted_labels = multiclass_nms(
        torch.from_numpy(boxes), torch.from_numpy(of_class), 0.0, cfg.nms, cfg.max_per_img)
    _same_detections('NMS', Detections(dets[:, :4], dets[:, 4], found),
                     _clipped(Detections(wanted_dets[:, :4].numpy(), wanted_dets[:, 4].numpy(), wanted_labels.numpy()),
                              resized['image']))
    return tuple(float(np.abs(one - other).max()) for one, other in zip(*scores_and_boxes))


class _Parts:
    """Parts of a file's graph, run by the names of what goes in and what comes out."""

    def __init__(self, path: Path) -> None:
        self._extractor = onnx.utils.Extractor(onnx.load(path))

    def __call__(self, inputs: dict[str, np.ndarray], outputs: Sequence[str]) -> list[np.ndarray]:
        part = self._extractor.extract_model(list(inputs), list(outputs))
        return session(part.SerializeToString()).run(list(outputs), inputs)


def _to_be_resized(picture: np.ndarray, resize: Resize) -> list[np.ndarray]:
    """Two images of it of other shapes, larger and smaller than what they are resized to; with noise, which shows how.

    The tracing has seen neither size, unless all images are stretched to one.
    """
    height, width = picture.shape[:2]
    rng = np.random.default_rng(0)
    images = []
    for part, factor in ((picture[:, :max(width * 3 // 4, 1)], 1.6), (picture[:max(height * 3 // 4, 1)], 0.6)):
        sides = [max(round(side * factor), 1) for side in resize.size(*part.shape[:2])]
        larger = cv2.resize(part, (sides[1], sides[0])).astype(np.int16)
        images.append((larger + rng.integers(-24, 25, larger.shape)).clip(0, 255).astype(np.uint8))
    return images


def _prepared(model: nn.Module, image: np.ndarray) -> tuple[dict[str, Any], Tensor]:
    """An image's meta data and the network's input by the detector's own pipeline."""
    steps = deepcopy(get_test_pipeline_cfg(model.cfg.copy()))
    steps[0].type = 'mmdet.LoadImageFromNDArray'
    sample = Compose(steps)(dict(img=image, img_id=0))
    batch = model.data_preprocessor(
        dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']]), training=False)
    return batch['data_samples'][0].metainfo, batch['inputs']


def _detect(model: nn.Module, picture: np.ndarray) -> Detections:
    found = inference_detector(model, picture).pred_instances.cpu().numpy()
    return Detections(found.bboxes, found.scores, found.labels)


def _matched(expected: Detections, got: Detections) -> int:
    """How many of one have one of their own among the other, of their label."""
    free = np.ones(len(got.scores), bool)
    for box, score, label in zip(*expected):
        same = (free & (got.labels == label) & (np.abs(got.scores - score) <= SAME_SCORE)
                & (np.abs(got.boxes - box).max(axis=1, initial=0) <= SAME_BOX)).nonzero()[0]
        free[same[:1]] = False
    return int((~free).sum())


# What the detector itself makes of the same numbers.

def _levels(outputs: Sequence[np.ndarray]) -> list[list[Tensor]]:
    tensors, half = [torch.from_numpy(one) for one in outputs], len(outputs) // 2
    return [tensors[:half], tensors[half:]]


def _dense_candidates(head: nn.Module, outputs: Sequence[np.ndarray], meta: dict[str, Any]) -> list[np.ndarray]:
    """What enters NMS: boxes, scores, and labels, or an RPN's levels."""
    with replaced('BaseDenseHead._bbox_post_process', head, lambda results, *args, **kwargs: results):
        results = head.predict_by_feat(*_levels(outputs), batch_img_metas=[meta])[0]
    labels = results.level_ids if 'level_ids' in results else results.labels
    return [tensor.numpy() for tensor in (results.bboxes, results.scores, labels)]


def _dense_suppressed(head: nn.Module, candidates: Sequence[np.ndarray], meta: dict[str, Any]) -> Detections:
    boxes, scores, labels = (torch.from_numpy(one) for one in candidates)
    if isinstance(head, NanoDetHead):
        boxes = boxes - boxes.new_tensor(meta.get('padding', (0, 0))[:2] * 2)
    results = InstanceData(bboxes=boxes, scores=scores, labels=labels, level_ids=labels)
    found = bbox_post_process(head, results, cfg=head.test_cfg, rescale=False, with_nms=True, img_meta=meta)
    return Detections(found.bboxes.numpy(), found.scores.numpy(), found.labels.numpy())


def _clipped(found: Detections, image: np.ndarray) -> Detections:
    """Boxes cut to an image; those that are made lie outside of it as well."""
    return found._replace(boxes=found.boxes.clip(0, np.tile(image.shape[1::-1], 2)))


def _roi_candidates(head: nn.Module, outputs: Sequence[np.ndarray], meta: dict[str, Any],
                    cfg: ConfigDict | None) -> list[np.ndarray]:
    """What enters NMS: boxes, scores and labels; without ``cfg`` scores and boxes of all RoIs."""
    rois, logits, deltas = (torch.from_numpy(one) for one in outputs)
    found = head.predict_by_feat((rois, ), (logits, ), (deltas, ), batch_img_metas=[meta], rcnn_test_cfg=cfg)[0]
    keys = ('scores', 'bboxes') if cfg is None else ('bboxes', 'scores', 'labels')
    return [found[key].numpy() for key in keys]


def _decoded_difference(head: nn.Module, got: Sequence[np.ndarray], wanted: Sequence[np.ndarray],
                        meta: dict[str, Any]) -> tuple[float, float]:
    """Largest difference of scores and of boxes, in pixels, of all anchors or cells."""
    (scores, boxes), (other_scores, other_boxes) = (_decoded(head, *_levels(one), meta) for one in (got, wanted))
    return _largest(scores, other_scores), _largest(boxes, other_boxes)


def _decoded(head: nn.Module, logits: list[Tensor], deltas: list[Tensor],
             meta: dict[str, Any]) -> tuple[list[Tensor], list[Tensor]]:
    if isinstance(head, NanoDetHead):
        boxes, scores = head.decode(logits, deltas)
        return [scores], [boxes]
    priors = head.prior_generator.grid_priors([one.shape[-2:] for one in logits], device='cpu')
    boxes = [head.bbox_coder.decode(anchors, one[0].permute(1, 2, 0).reshape(-1, 4), max_shape=meta['img_shape'])
             for anchors, one in zip(priors, deltas)]
    if head.use_sigmoid_cls:
        return [one.sigmoid() for one in logits], boxes
    return [one[0].permute(1, 2, 0).reshape(-1, head.cls_out_channels).softmax(-1) for one in logits], boxes


# Numbers of which no two are so near one another that rounding could exchange them.

#: A logit that gives a score of 0.
_COLD = -200.0


def _made_scores(number: int, threshold: float | None, rng: np.random.Generator) -> np.ndarray:
    """Scores in 0 to 1 in any order, an eighth of them below a threshold and some just above."""
    threshold = min(max(threshold or 0.0, 0.0), 0.999)
    gap = (1 - threshold) / 1000
    below = number // 8 if threshold > 2 * gap else 0
    return rng.permutation(np.concatenate((
        np.linspace(threshold / 2, threshold - gap, below), np.linspace(threshold + gap, 1 - gap, number - below))))


def _logits(scores: np.ndarray) -> np.ndarray:
    return np.log(scores / (1 - scores)).astype(np.float32)


def _made_outputs(head: nn.Module, like: Sequence[np.ndarray], rng: np.random.Generator,
                  share: float) -> list[np.ndarray]:
    """Outputs of a dense head, of the shapes of ``like``; in each level ``share`` of those that it takes at most score.
    """
    most, threshold = head.test_cfg.get('nms_pre', -1), head.test_cfg.get('score_thr', None)
    everything = most < 1 and (threshold is None or threshold < 0)
    width, half = head.cls_out_channels, len(like) // 2
    classes = width if head.use_sigmoid_cls else width - 1
    hot = []  # in each level, anchors and classes that score
    for one in like[:half]:
        anchors = one.size // width
        number = anchors * classes if everything else min(anchors * classes, int(max(most, 300) * share))
        place = rng.permutation(anchors * classes)[:number]
        if not head.use_sigmoid_cls:  # one class of an anchor, for they add up to 1
            place = rng.permutation(anchors)[:number] * classes
            place += rng.integers(classes, size=len(place))
        hot.append(place)
    scores = np.split(_made_scores(sum(map(len, hot)), threshold, rng), np.cumsum([len(place) for place in hot])[:-1])
    logits = []
    for one, place, score in zip(like, hot, scores):
        flat = np.full((one.size // width, width), _COLD, np.float32)
        if not head.use_sigmoid_cls:
            flat[:, -1] = 0  # the background
        flat[place // classes, place % classes] = _logits(score)
        logits.append(flat.reshape(*one.shape[2:], one.shape[1]).transpose(2, 0, 1)[None])
    spread = 2.0 if isinstance(head, NanoDetHead) else 0.5
    return [np.ascontiguousarray(one) for one in logits] + [
        rng.normal(0, spread, one.shape).astype(np.float32) for one in like[half:]]


def _made_proposals(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """``(K, 4)`` boxes of all sizes and shapes in an image of that height and width."""
    sides = np.repeat(56 * 2.0 ** np.arange(-2.5, 4), 16)
    ratios = rng.uniform(0.5, 2, len(sides)) ** 0.5
    size = np.stack((sides * ratios, sides / ratios), axis=1)
    center = rng.uniform(0, 1, size.shape) * shape[1::-1]
    corners = np.concatenate((center - size / 2, center + size / 2), axis=1)
    boxes = corners.clip(0, np.tile(shape[1::-1], 2))
    return boxes[(boxes[:, 2:] - boxes[:, :2] > 1).all(axis=1)].astype(np.float32)


def _made_candidates(cfg: Any, classes: int, least: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Boxes ``(K, 4)``, scores and labels for NMS: groups far from one another, more than ``max_per_img`` that stay.

    In a group the best box has one of its class on its right that overlaps a little less than the threshold, one on its
    left that overlaps a little more, and one of another class in its place. Then there are boxes as small as
    ``least`` and smaller. Corners are whole numbers, so that moving boxes by label, as mmcv does, is exact.
    """
    side, threshold = 60, cfg.nms.iou_threshold
    moved = np.arange(side)
    overlap = (side - moved) / (side + moved)
    nearer = moved[overlap > threshold + 0.003].max(initial=0)
    farther = moved[overlap < threshold - 0.003].min(initial=side)
    most = min(cfg.max_per_img, 3000) if cfg.max_per_img > 0 else 100
    groups = np.arange(most // 2 + 20)
    columns = int(len(groups) ** 0.5) + 1
    corner = np.stack((groups % columns, groups // columns), axis=1) * 4 * side + side
    label = rng.permutation(groups % classes)
    moves = [(0, 0), (farther, 0), (-nearer, 0)] + [(0, 1)] * (classes > 1)
    of_group = rng.permutation(np.linspace(0.05, 0.95, len(moves) * len(groups))).reshape(len(moves), -1)
    best = of_group.argmax(axis=0)
    of_group[best, groups], of_group[0] = of_group[0].copy(), of_group.max(axis=0)
    boxes, scores, labels = [], list(of_group), []
    for move, other in moves:
        boxes.append(np.concatenate((corner, corner + side), axis=1) + np.array([move, 0, move, 0]))
        labels.append((label + other) % classes)
    low = max(int(least), 0)
    small = np.array([(w, h) for w in range(low, low + 3) for h in range(low, low + 3)])
    apart = corner[-1] + np.stack((np.arange(len(small)) * (low + 9), np.full(len(small), 3 * side)), axis=1)
    boxes.append(np.concatenate((apart, apart + small), axis=1))
    scores.append(np.linspace(0.97, 0.99, len(small)))
    labels.append(rng.integers(classes, size=len(small)))
    order = rng.permutation(sum(map(len, scores)))
    return [np.concatenate(boxes).astype(np.float32)[order], np.concatenate(scores).astype(np.float32)[order],
            np.concatenate(labels)[order]]


# Comparing.

def _differs(what: str, how: str) -> UserError:
    return UserError(f'The exported file does not compute what the detector does: {what}: {how}. The file was not '
                     f'written. Try keep_shuffle=True; if it stays so, this model cannot be exported.')


def _largest(got: Sequence[Any], wanted: Sequence[Any]) -> float:
    """Largest difference of arrays or tensors."""
    return max(float(abs(one - other).max()) for one, other in zip(got, wanted))


def _same(what: str, got: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> None:
    """Compare outputs of all levels together."""
    shapes = [[one.shape for one in many] for many in (got, wanted)]
    if shapes[0] != shapes[1]:
        raise _differs(what, f'their shapes are {shapes[0]}, expected {shapes[1]}')
    if not all(np.isfinite(one).all() for one in wanted):
        raise UserError(f'The detector itself computes {what} that are not finite (NaN or inf), so that nothing can be '
                        f'checked and no file was written. Export another checkpoint.')
    low, high = min(float(one.min()) for one in wanted), max(float(one.max()) for one in wanted)
    allowed = TOLERANCE * (high - low) + ROUNDING * max(abs(low), abs(high))
    difference = _largest(got, wanted)
    if not difference <= allowed:
        raise _differs(what, f'they differ by up to {difference:.2g}, at most {allowed:.2g} is expected')


def _same_candidates(what: str, got: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> None:
    """The same in any order; no two scores are alike."""
    if len(got[1]) != len(wanted[1]):
        raise _differs(what, f'{len(got[1])} are chosen of the same outputs, expected {len(wanted[1])}')
    (boxes, scores, labels), (other_boxes, other_scores, other_labels) = (
        [column[np.argsort(one[1])] for column in one] for one in (got, wanted))
    if not np.abs(scores - other_scores).max(initial=0) <= SCORE_TOLERANCE:
        raise _differs(what, 'others are chosen of the same outputs, or their scores differ')
    if not np.array_equal(labels, other_labels):
        raise _differs(what, 'they have other labels or levels')
    difference = np.abs(boxes - other_boxes).max(initial=0)
    if not difference <= BOX_TOLERANCE:
        raise _differs(what, f'boxes decoded of the same outputs differ by up to {difference:.2g} pixels')


def _same_detections(what: str, got: Detections, wanted: Detections) -> None:
    if len(got.boxes) != len(wanted.boxes):
        raise _differs(what, f'it keeps {len(got.boxes)} of the same boxes, expected {len(wanted.boxes)}')
    if not (np.abs(got.boxes - wanted.boxes).max(initial=0) <= BOX_TOLERANCE
            and np.abs(got.scores - wanted.scores).max(initial=0) <= SCORE_TOLERANCE
            and np.array_equal(got.labels, wanted.labels)):
        raise _differs(what, 'it keeps others of the same boxes')
