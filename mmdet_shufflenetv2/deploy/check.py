"""Comparison of an exported file with the detector, part by part, and then on an image.

Detections can depend on the last bit of two nearly equal scores, so the same detector may give others on another
machine. The parts of the graph do not have this problem, because each is compared on the same numbers:

- the network's input;
- scores and boxes of all anchors, points, queries or RoIs, within a tolerance;
- top-k selection and NMS, on made-up numbers that differ by more than rounding.

The parts are extracted from the exported file, and together they cover all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmcv.ops import batched_nms
from mmcv.transforms import Compose
from mmdet.apis import inference_detector
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import get_test_pipeline_cfg
from torch import Tensor

from ..utils.errors import UserError
from .exported import Detections, ExportedDetector
from .graph import feature_parts, part_of
from .heads import traceable_head
from .heads.selection import FOUND, Suppression
from .resizing import Resize
from .targets.onnxruntime import session

__all__ = ['Checked', 'agreement', 'check_detector', 'check_features', 'matched_detections']

#: Largest difference of scores and of features, relative to their range: hardly trained weights give similar scores.
SCORE_TOLERANCE, FEATURE_TOLERANCE = 2e-4, 5e-5
#: Largest difference of boxes in pixels.
BOX_TOLERANCE = 0.05
#: Added for rounding, relative to the largest value: for features and scores, and for other outputs.
ROUNDING, OTHER_ROUNDING = 5e-6, 5e-5
#: Largest differences of matching detections in an image: score, and pixels.
SAME_SCORE, SAME_BOX = 1e-3, 0.05


#: Matching of detections in lower precision: minimum score, and minimum IoU.
CERTAIN, SAME_OBJECT = 0.3, 0.5


class Checked(NamedTuple):
    """Result of the comparison of an exported file with the detector."""

    #: Name of the image.
    image: str
    #: Number of the detector's detections in it; 0 for a backbone.
    found: int
    #: Largest difference of scores of all anchors, points, queries and RoIs; for a backbone, of features, relative to
    #: the largest one.
    difference: float
    #: Largest difference of boxes in pixels.
    box_difference: float
    #: Number of detections that the file finds too. If it is less than ``found``, rounding decided between nearly equal
    #: scores.
    matched: int = 0
    #: For lower precision: share of detections that match those in single precision, see :func:`agreement`; None if
    #: not compared.
    agreement: float | None = None


@torch.no_grad()
def check_detector(model: Any, path: Path, original: np.ndarray, shown: str, batch: int = 1) -> Checked:
    """Compare an ONNX file with the detector that was exported.

    Args:
        model: The detector with its ``cfg``, in eval mode on the CPU.
        path: The file.
        original: ``(H, W, 3)`` uint8, blue, green, red.
        shown: Name of the image, for the result.
        batch: Batch size of the file: the first and the last image of a batch are compared with the detector.

    Raises:
        UserError: If outputs of a part of the file do not match the detector's.
    """
    detector, parts, head = ExportedDetector(path), _Parts(path, batch), traceable_head(model)
    score, box = 0.0, 0.0
    for index, image in zip((0, batch - 1), _to_be_resized(original, detector.resize)):
        parts.index = index
        meta, x = _prepared(model, image)
        resized = dict(image=detector.resized(image))
        features = model.extract_feat(x)
        by_name = feature_parts(features)
        got = parts(resized, ['input', *by_name])
        _same('the input of the network (how an image is resized, padded and normalized)', got, dict(input=x))
        _same('features', got, by_name)
        size = torch.tensor(meta['img_shape'][1::-1])
        for stage in head.stages(features, x, size):
            differences = _same(stage.what, parts(resized | _arrays(stage.given), list(stage.wanted)), stage.wanted)
            score, box = max(score, differences[0]), max(box, differences[1])
    # The rest depends only on the image's size.
    for suppression in head.suppressions():
        given, wanted = _made_suppression(suppression)
        _same('NMS', parts(resized | _arrays(given), list(wanted)), wanted)
    _check_borders(parts, resized, meta)
    if batch > 1:
        parts.check_stacked(resized['image'])
    return Checked(shown, len(_detect(model, original).scores), score, box)


@torch.no_grad()
def matched_detections(model: Any, detector: ExportedDetector, original: np.ndarray) -> int:
    """Number of detections in an image that the file finds too."""
    return _matched(_detect(model, original), detector(original))


def agreement(expected: Sequence[Detections], got: Sequence[Detections]) -> float:
    """Share of detections of two detectors on the same images that match, 0 to 1.

    Detections of either detector with a score of 0.3 or more count. One matches if the other detector has a detection
    of the same label with an IoU of 0.5 or more and at least half of the score. NMS may keep another of two boxes.
    """
    both = [*zip(expected, got), *zip(got, expected)]
    shared = [_has_match(one, other) for one, other in both]
    return float(np.concatenate(shared).mean()) if sum(map(len, shared)) else 1.0


def _has_match(one: Detections, other: Detections) -> np.ndarray:
    certain = one.scores >= CERTAIN
    overlaps = bbox_overlaps(torch.from_numpy(one.boxes[certain]), torch.from_numpy(other.boxes)).numpy()
    match = (
        (overlaps >= SAME_OBJECT)
        & (one.labels[certain, None] == other.labels)
        & (other.scores >= one.scores[certain, None] / 2)
    )
    return match.any(axis=1)


def check_features(got: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> float:
    """The largest difference of features, relative to the largest one.

    Raises:
        UserError: If it is larger than the tolerance.
    """
    names = [f'feature{level}' for level in range(len(wanted))]
    _same('features', dict(zip(names, got)), {name: torch.from_numpy(one) for name, one in zip(names, wanted)})
    largest = max(float(np.abs(one).max()) for one in wanted) or 1.0
    return max(float(np.abs(one - other).max()) for one, other in zip(got, wanted)) / largest


class _Parts:
    """Runs parts of a file's graph by the names of inputs and outputs; in a batch, those of image ``index``."""

    def __init__(self, path: Path, batch: int) -> None:
        import onnx

        self._extractor = onnx.utils.Extractor(onnx.load(path))
        self._names = {info.name for info in self._extractor.graph.value_info}
        self._batch, self.index = batch, 0
        self._sessions: dict[tuple[str, ...], Any] = {}

    def __call__(self, inputs: dict[str, np.ndarray], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        inputs = {self._name(name): value for name, value in inputs.items()}
        if self._batch > 1:
            inputs['image'] = self._images(inputs['image'])
        return dict(zip(outputs, self._run(inputs, [self._name(name) for name in outputs])))

    def __contains__(self, name: str) -> bool:
        return self._name(name) in self._names

    def _name(self, name: str) -> str:
        return name if name == 'image' or self._batch == 1 else part_of(self.index, name)

    def _images(self, image: np.ndarray) -> np.ndarray:
        """A batch of this image at ``index`` and shifted copies of it."""
        return np.stack([np.roll(image, 5 * (index - self.index), axis=1) for index in range(self._batch)])

    def _run(self, inputs: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
        key = (*inputs, '->', *outputs)
        if key not in self._sessions:
            self._sessions[key] = session(self._extractor.extract_model(list(inputs), outputs).SerializeToString())
        return self._sessions[key].run(outputs, inputs)

    def check_stacked(self, image: np.ndarray) -> None:
        """Check that the outputs of a batch are those of its images, padded."""
        for name, filling in (('dets', 0), ('labels', -1)):
            each = [part_of(index, name) for index in range(self._batch)]
            stacked, *own = self._run(dict(image=self._images(image)), [name, *each])
            wanted = np.full((self._batch, max(map(len, own)), *own[0].shape[1:]), filling, own[0].dtype)
            for row, one in zip(wanted, own):
                row[: len(one)] = one
            _same('the batch', {name: stacked}, {name: torch.from_numpy(wanted)})


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def _check_borders(parts: _Parts, resized: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    """Check that boxes are moved from the padded input to the image, and clipped to it."""
    height, width = resized['image'].shape[:2]
    input_height, input_width = meta['img_shape'][:2]
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, (input_width, input_height), (20, 2, 2)), axis=1).astype(np.float32).reshape(-1, 4)
    names = ('moved_boxes' if 'moved_boxes' in parts else FOUND[0], FOUND[1])
    scores = np.linspace(1, 0, len(corners), dtype=np.float32)
    left, top = meta['border'][2::-2] if 'border' in meta else meta.get('padding', (0, 0))[:2]
    wanted = (corners - np.array([left, top] * 2, np.float32)).clip(0, [width, height] * 2)
    _same(
        'boxes in the image',
        parts(resized | dict(zip(names, (corners, scores))), ['dets']),
        dict(dets=torch.from_numpy(np.concatenate((wanted, scores[:, None]), axis=1))),
    )


def _to_be_resized(original: np.ndarray, resize: Resize) -> list[np.ndarray]:
    """Two crops of an image with noise, one larger and one smaller than the size they will be resized to.

    The graph was traced with neither size, unless all images are resized to one size. Noise reveals a wrong
    interpolation.
    """
    height, width = original.shape[:2]
    rng = np.random.default_rng(0)
    images = []
    for part, factor in ((original[:, : max(width * 3 // 4, 1)], 1.6), (original[: max(height * 3 // 4, 1)], 0.6)):
        sides = [max(round(side * factor), 1) for side in resize.size(*part.shape[:2])]
        larger = cv2.resize(part, (sides[1], sides[0])).astype(np.int16)
        images.append((larger + rng.integers(-24, 25, larger.shape)).clip(0, 255).astype(np.uint8))
    return images


def _prepared(model: Any, image: np.ndarray) -> tuple[dict[str, Any], Tensor]:
    """Metadata of an image and the network's input, from the detector's own pipeline."""
    steps = deepcopy(get_test_pipeline_cfg(model.cfg.copy()))
    steps[0].type = 'mmdet.LoadImageFromNDArray'
    sample = Compose(steps)(dict(img=image, img_id=0))
    batch = model.data_preprocessor(
        dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']]), training=False
    )
    return batch['data_samples'][0].metainfo, batch['inputs']


def _detect(model: Any, original: np.ndarray) -> Detections:
    found = inference_detector(model, original).pred_instances.cpu().numpy()
    height, width = original.shape[:2]  # exported files always clip boxes to the image
    return Detections(found.bboxes.clip(0, [width, height] * 2), found.scores, found.labels)


def _matched(expected: Detections, got: Detections) -> int:
    """Number of one-to-one matches with the same label."""
    free = np.ones(len(got.scores), bool)
    for box, score, label in zip(*expected):
        same = (
            free
            & (got.labels == label)
            & (np.abs(got.scores - score) <= SAME_SCORE)
            & (np.abs(got.boxes - box).max(axis=1, initial=0) <= SAME_BOX)
        ).nonzero()[0]
        free[same[:1]] = False
    return int((~free).sum())


def _made_candidates(cfg: Any, classes: int) -> list[np.ndarray]:
    """Boxes ``(K, 4)``, scores and labels for NMS: separate groups, of which NMS keeps more than ``max_per_img`` boxes.

    A group has its best box, a box of the same class on the right with an IoU just below the threshold, one on the left
    with an IoU just above it, and an equal box of another class. Corners are integers, so that mmcv's shift of boxes by
    label is exact.
    """
    rng = np.random.default_rng(0)
    side, threshold = 60, cfg.nms.iou_threshold
    moved = np.arange(side)
    overlap = (side - moved) / (side + moved)
    nearer = moved[overlap > threshold + 0.003].max(initial=0)
    farther = moved[overlap < threshold - 0.003].min(initial=side)
    most = min(most, 3000) if (most := cfg.get('max_per_img', -1)) > 0 else 100
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
    order = rng.permutation(sum(map(len, scores)))
    return [
        np.concatenate(boxes).astype(np.float32)[order],
        np.concatenate(scores).astype(np.float32)[order],
        np.concatenate(labels)[order],
    ]


def _made_suppression(suppression: Suppression) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Made-up candidates, and those that mmcv's NMS keeps."""
    given = [torch.from_numpy(column) for column in _made_candidates(suppression.cfg, suppression.classes)]
    boxes, scores, labels = given
    kept = batched_nms(boxes, scores, labels, suppression.cfg.nms)[1]
    most = suppression.cfg.get('max_per_img', -1)
    kept = kept[:most] if most > 0 else kept
    return dict(zip(suppression.given, given)), dict(
        zip(suppression.outputs, (boxes[kept], scores[kept], labels[kept]))
    )


def _allowed(name: str, values: np.ndarray) -> float:
    """The tolerance: the largest difference that rounding can cause."""
    if values.size == 0:
        return 0.0
    largest, spread = float(np.abs(values).max()), float(np.ptp(values))
    if name.endswith('scores'):
        return SCORE_TOLERANCE * spread + ROUNDING * largest
    if name.startswith('feature'):
        return FEATURE_TOLERANCE * spread + ROUNDING * largest
    return OTHER_ROUNDING * largest + (BOX_TOLERANCE if name.endswith('boxes') else 0)


def _differs(what: str, how: str) -> UserError:
    return UserError(
        f"The exported file's outputs do not match the detector's: {what}: {how}. The file was not written. "
        f'Try keep_shuffle=True. If the error remains, this model cannot be exported.'
    )


def _same(what: str, got: Mapping[str, np.ndarray], wanted: Mapping[str, Tensor]) -> tuple[float, float]:
    """Compare arrays by name.

    Returns:
        The largest difference of scores, and of boxes in pixels.
    """
    largest = dict(scores=0.0, boxes=0.0)
    for name, array in _arrays(wanted).items():
        if got[name].shape != array.shape:
            raise _differs(what, f'{name} has the shape {got[name].shape}, expected {array.shape}')
        if not np.isfinite(array).all():
            raise UserError(
                f"The PyTorch model's {what} are not finite (NaN or inf), so the export cannot be checked. "
                f'No file was written. Export another checkpoint.'
            )
        kind = next((kind for kind in largest if name.endswith(kind)), None)
        difference = np.abs(got[name] - array)
        allowed = _allowed(name, array)
        if not (worst := float(difference.max(initial=0))) <= allowed:
            raise _differs(what, f'{name} differ by up to {worst:.2g}, expected at most {allowed:.2g}')
        if kind:
            largest[kind] = max(largest[kind], worst)
    return largest['scores'], largest['boxes']
