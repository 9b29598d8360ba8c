"""What surrounds a network that takes images of one size: its input, and what its outputs become. NumPy and OpenCV.

Runtimes without NMS run the network alone, from ``input`` to ``boxes`` and ``scores`` of every anchor or point.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..utils.errors import UserError

__all__ = ['WITH_NMS', 'NetworkInput', 'Selection', 'surrounded']

#: Ends a message about a detector that no network without NMS can be made of.
WITH_NMS = 'Export for onnxruntime (.onnx) or openvino (.xml).'


class NetworkInput(NamedTuple):
    """How a resized image becomes the network's input. Channels are those of the input."""

    #: Width and height.
    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    #: The input has red first; else blue, as images have.
    rgb: bool
    #: What surrounds the image, normalized.
    border: tuple[float, float, float]
    #: The image is in the center of the input, and boxes are cut to the input; else both as in the upper left corner.
    center: bool

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The input ``(3, H, W)`` float32, by what it moves boxes ``(4,)``, and what cuts them: width and height.

        Args:
            image: ``(h, w, 3)`` uint8, blue, green, red, not larger than ``size``.
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
    """Which boxes of those of every anchor or point are kept."""

    #: Anchors or points of each level.
    counts: tuple[int, ...]
    #: Most pairs of box and class of a level, the best; all where it is below 1.
    nms_pre: int
    score_thr: float
    iou_threshold: float
    #: All where it is below 1.
    max_per_img: int
    #: Both sides are longer; all where it is negative.
    min_bbox_size: float
    #: Boxes are cut before NMS.
    clip: bool
    #: A prior is of its best class alone.
    one_class: bool = False

    def __call__(
        self, boxes: np.ndarray, scores: np.ndarray, factors: np.ndarray | None, size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes ``(N, 4)``, scores and labels ``(N,)``, best first, after NMS within each class.

        Args:
            boxes: ``(P, 4)``: x1, y1, x2, y2.
            scores: ``(P, C)``.
            factors: ``(P,)`` by which scores are multiplied; None for nothing.
            size: Width and height to which boxes are cut.
        """
        return self.suppressed(*self.candidates(boxes, scores, factors, size))

    def suppressed(
        self, boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What NMS within each class leaves of candidates."""
        import cv2

        nms: Any = cv2.dnn.NMSBoxesBatched  # its type hints do not know arrays
        # OpenCV shifts boxes by their class, as far as the largest coordinate says: none may be negative.
        corner = boxes[:, :2] - boxes.min(initial=0)
        sides = np.concatenate((corner, boxes[:, 2:] - boxes[:, :2]), axis=1)
        # OpenCV says of two boxes without area that they are the same.
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
        """What enters NMS; see :meth:`__call__`."""
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
    """A network with what surrounds it, as :class:`.Loaded` has it, and its metadata.

    Args:
        about: Metadata: what :meth:`.Surroundings.about` made, or JSON of it.
        run: The network: from the input ``(3, H, W)`` float32 to boxes ``(P, 4)``, scores ``(P, C)`` and, where there
            are any, factors ``(P,)``; each may have an axis of length 1 more.
        path: What the metadata was read from.

    Raises:
        UserError: If the metadata is not ours.
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
