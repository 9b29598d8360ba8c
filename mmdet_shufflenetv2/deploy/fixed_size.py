"""Pre- and post-processing of a network with a fixed input size, in NumPy and OpenCV.

Runtimes without NMS run only the network: from ``input`` to ``boxes`` and ``scores`` of all anchors or points.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..utils.errors import UserError

__all__ = ['WITH_NMS', 'NetworkInput', 'Selection', 'surrounded']

#: The remedy in messages about detectors that cannot be exported without NMS.
WITH_NMS = 'Export for onnxruntime (.onnx) or openvino (.xml).'


class NetworkInput(NamedTuple):
    """Converts a resized image to the network's input. Values per channel are in the input's order."""

    #: Width and height.
    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    #: Whether the input's channels are red, green, blue; otherwise blue, green, red, as in the image.
    rgb: bool
    #: Value of the padding, normalized.
    border: tuple[float, float, float]
    #: Whether the image is centered and boxes are clipped to the padded input. Otherwise it is at the upper left, and
    #: boxes are clipped to it.
    center: bool

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pad and normalize an image.

        Args:
            image: ``(h, w, 3)`` uint8, blue, green, red, not larger than ``size``.

        Returns:
            The input ``(3, H, W)`` float32; the offset of boxes in it ``(4,)``; and the width and height to which boxes
            are clipped. All in pixels.
        """
        height, width = image.shape[:2]
        left, above = ((side - own) // 2 if self.center else 0 for side, own in zip(self.size, (width, height)))
        mean, std, border = (np.array(value, np.float32)[:, None, None] for value in (self.mean, self.std, self.border))
        x = np.empty((3, *self.size[::-1]), np.float32)
        x[:] = border
        pixels = image[..., ::-1] if self.rgb else image
        x[:, above : above + height, left : left + width] = (pixels.transpose(2, 0, 1) - mean) / std
        return x, np.array([left, above] * 2, np.float32), np.array(self.size if self.center else (width, height))


class Selection(NamedTuple):
    """Selects detections among the boxes of all anchors or points."""

    #: Number of anchors or points of each level.
    counts: tuple[int, ...]
    #: Maximum number of pairs of box and class per level; below 1, no maximum.
    nms_pre: int
    score_thr: float
    iou_threshold: float
    #: Maximum number of detections; below 1, no maximum.
    max_per_img: int
    #: Both sides must be longer, in pixels; negative for no minimum.
    min_bbox_size: float
    #: Whether boxes are clipped before NMS.
    clip: bool
    #: Whether only the best class of each prior counts.
    one_class: bool = False

    def __call__(
        self, boxes: np.ndarray, scores: np.ndarray, factors: np.ndarray | None, size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes ``(N, 4)``, scores and labels ``(N,)`` after per-class NMS, in descending order of scores.

        Args:
            boxes: ``(P, 4)``: x1, y1, x2, y2 in pixels.
            scores: ``(P, C)``.
            factors: ``(P,)``, multiplied with the scores; None without any.
            size: Width and height to which boxes are clipped.
        """
        return self.suppressed(*self.candidates(boxes, scores, factors, size))

    def suppressed(
        self, boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Candidates that per-class NMS keeps."""
        import cv2

        nms: Any = cv2.dnn.NMSBoxesBatched  # its type hints do not know arrays
        # OpenCV shifts boxes by class, by multiples of the largest coordinate: none may be negative.
        corner = boxes[:, :2] - boxes.min(initial=0)
        sides = np.concatenate((corner, boxes[:, 2:] - boxes[:, :2]), axis=1)
        # OpenCV treats two boxes without area as identical.
        has_area: Any = (sides[:, 2:] > 0).all(axis=1)
        kept, large = (~has_area).nonzero()[0], has_area.nonzero()[0]
        if len(large):
            best = nms(sides[large], scores[large], labels[large], -1.0, self.iou_threshold)
            kept = np.concatenate((kept, large[np.asarray(best)]))
        kept = kept[np.argsort(-scores[kept], kind='stable')][: self.max_per_img if self.max_per_img > 0 else None]
        return boxes[kept], scores[kept], labels[kept]

    def candidates(
        self, boxes: np.ndarray, scores: np.ndarray, factors: np.ndarray | None, size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Input of NMS; see :meth:`__call__`."""
        classes, start, chosen = scores.shape[1], 0, []
        if self.one_class:
            scores = np.where(scores.argmax(axis=1)[:, None] == np.arange(classes), scores, -1)
        for count in self.counts:
            of_level = scores[start : start + count].ravel()
            index = (of_level > max(self.score_thr, -0.5)).nonzero()[0]
            if 0 < self.nms_pre < len(index):
                index = index[np.argsort(-of_level[index], kind='stable')[: self.nms_pre]]
            chosen.append(index + start * classes)
            start += count
        index = np.concatenate(chosen)
        prior, labels, found = index // classes, index % classes, scores.ravel()[index]
        if factors is not None:
            found = found * factors[prior]
        boxes = boxes[prior]
        if self.clip:
            boxes = boxes.clip(0, np.tile(size, 2).astype(np.float32))
        large = ((boxes[:, 2:] - boxes[:, :2]) > self.min_bbox_size).all(axis=1) | (self.min_bbox_size < 0)
        return boxes[large], found[large], labels[large]


def surrounded(
    about: Mapping[str, Any], run: Callable[[np.ndarray, Selection], Sequence[np.ndarray]], path: object
) -> tuple[Callable[[np.ndarray], Sequence[np.ndarray]], dict[str, str]]:
    """A network with its pre- and post-processing, and its metadata: the fields of :class:`.Loaded`.

    Args:
        about: Metadata as :meth:`.Surroundings.about` returns it, or JSON of it.
        run: The network: from the input ``(3, H, W)`` float32 to boxes ``(P, 4)``, scores ``(P, C)`` and, if there are
            any, factors ``(P,)``; each may have additional axes of length 1.
        path: The file of the metadata.

    Raises:
        UserError: If the metadata was not written by ``snv2 export``.
    """
    try:
        parts = [json.loads(part) if isinstance(part := about[key], str) else part for key in ('input', 'selection')]
        prepare, selection = NetworkInput(**parts[0]), Selection(**parts[1])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'{path} was not made by snv2 export, or is corrupt: {error!r}. Export the detector again.'
        ) from error

    def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, offset, size = prepare(image)
        boxes, scores, *factors = run(x, selection)
        boxes, scores = (value.reshape(-1, value.shape[-1]) for value in (boxes, scores))
        boxes, scores, labels = selection(boxes, scores, factors[0].ravel() if factors else None, size)
        boxes = (boxes - offset).clip(0, np.array([*image.shape[1::-1]] * 2, np.float32))
        return np.concatenate((boxes, scores[:, None]), axis=1), labels

    return detect, {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}
