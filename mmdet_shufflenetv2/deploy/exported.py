"""Inference with an exported detector: needs NumPy, OpenCV and the runtime, but neither PyTorch nor OpenMMLab.

Images are arrays here. Reading image files also needs Pillow (:mod:`..utils.images`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from ..utils.errors import UserError
from .resizing import Resize, check_image
from .targets import TARGETS, target_of
from .targets.target import MADE_BY

__all__ = ['Detections', 'ExportedDetector']


class Detections(NamedTuple):
    """Detections in an image, in descending order of scores."""

    #: ``(N, 4)`` float32: x1, y1, x2, y2 in pixels of the original image.
    boxes: np.ndarray
    #: ``(N,)`` float32, 0 to 1.
    scores: np.ndarray
    #: ``(N,)`` int64, indices into ``ExportedDetector.classes``.
    labels: np.ndarray

    @property
    def pred_instances(self) -> _Instances:
        """Detections with MMDetection's attributes, for ``supervision.Detections.from_mmdetection``."""
        return _Instances(**{name: part.view(_Array) for name, part in zip(('bboxes', 'scores', 'labels'), self)})


class _Array(np.ndarray):
    """A NumPy array with the tensor methods that convert to NumPy."""

    def cpu(self) -> _Array:
        return self

    def numpy(self) -> np.ndarray:
        return np.asarray(self)


class _Instances(SimpleNamespace):
    def __contains__(self, name: str) -> bool:
        return hasattr(self, name)


class ExportedDetector:
    """A detector exported by ``snv2 export``.

    Args:
        path: The file.
        threads: Number of threads; None for the runtime's default.
        target: Runtime, such as ``openvino`` for an ONNX file; by default the file's suffix decides.

    Attributes:
        classes: Names of the classes, by label.
        category_ids: Category id of each class in the training annotations; None in files of earlier versions.
        resize: How an image is resized.
        batch: Batch size of the file.

    Raises:
        UserError: (a ``ValueError``) If the file is missing, was not written by ``snv2 export`` or has no boxes, or if
            ``threads`` is less than one.

    Example:
        >>> from mmdet_shufflenetv2.deploy import ExportedDetector      # doctest: +SKIP
        >>> import cv2                                               # doctest: +SKIP
        >>> detector = ExportedDetector('nanodet_m.onnx')                # doctest: +SKIP
        >>> boxes, scores, labels = detector(cv2.imread('photo.jpg'))    # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None, target: str | None = None) -> None:
        runtime = target_of(path, target)
        if not runtime.runs_here:
            others = ', '.join(
                f'{one.name} ({one.suffixes[0]})' for one in TARGETS.values() if one.runs_here and one.suffixes
            )
            raise UserError(
                f'{path} is for {runtime.name}, which runs only on {runtime.system}. Use such a machine, or '
                f'export the detector for a target that runs here: {others}.'
            )
        runtime.need(runtime.run_modules, f'Running {path}')
        if not os.path.exists(path):
            raise UserError(f'File not found: {path}. Create it with: snv2 export CONFIG CHECKPOINT {path}')
        if threads is not None and threads < 1:
            raise UserError(f"threads={threads} is invalid: expected 1 or more, or None for the runtime's default.")
        self._run, about = runtime.load(Path(path), threads)
        if MADE_BY not in about:
            raise UserError(
                f'{path} was not made by snv2 export: it lacks the classes and how to resize an image. '
                f'Export the detector again, or run the file with {runtime.name} itself.'
            )
        if 'classes' not in about:
            raise UserError(
                f'{path} is a backbone (exported with backbone_only=True) and finds no boxes. Export the '
                f'whole detector, without `backbone_only`.'
            )
        self.classes: tuple[str, ...] = tuple(json.loads(about['classes']))
        ids = json.loads(about.get('category_ids', 'null'))
        self.category_ids: tuple[int, ...] | None = ids and tuple(ids)
        self.resize = Resize(**json.loads(about['resize']))
        self.batch: int = json.loads(about.get('batch', '1'))

    def __call__(self, image: np.ndarray) -> Detections:
        """Detect objects in an image.

        Args:
            image: ``(H, W, 3)`` uint8 of any size; blue, green, red, as ``cv2.imread`` reads it.

        Raises:
            UserError: If it is not such an array.
        """
        return self.detect([image])[0]

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Detect objects in images. Images that are resized to one size are processed in batches.

        Args:
            images: Arrays as in :meth:`__call__`.

        Returns:
            The detections in each image.
        """
        resized = [self.resized(image) for image in images]
        found: dict[int, Detections] = {}
        by_size = sorted(range(len(images)), key=lambda index: resized[index].shape)
        for _, same in groupby(by_size, key=lambda index: resized[index].shape):
            group = list(same)
            for start in range(0, len(group), self.batch):
                chosen = group[start : start + self.batch]
                for index, (dets, labels) in zip(chosen, self._outputs([resized[index] for index in chosen])):
                    (height, width), (own_height, own_width) = images[index].shape[:2], resized[index].shape[:2]
                    factors = np.array([width / own_width, height / own_height] * 2, np.float32)
                    found[index] = Detections(dets[:, :4] * factors, dets[:, 4], labels)
        return [found[index] for index in range(len(images))]

    def _outputs(self, resized: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """``dets`` and ``labels`` of a batch; a batch with too few images is padded with its last image."""
        if self.batch == 1:
            dets, labels, *_ = self._run(resized[0])  # without masks
            return [(dets, labels)]
        dets, labels, *_ = self._run(np.stack(resized + resized[-1:] * (self.batch - len(resized))))
        return [(one[of >= 0], of[of >= 0]) for one, of in zip(dets, labels)]

    def resized(self, image: np.ndarray) -> np.ndarray:
        """The image, resized for the graph; see :meth:`__call__`."""
        check_image(image)
        return self.resize(image)
