"""Running an exported detector with NumPy, OpenCV and its runtime: no PyTorch, nothing of OpenMMLab.

Images are arrays here; reading image files takes Pillow besides (:mod:`..utils.images`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from ..utils.errors import UserError
from .resizing import Resize, check_image
from .targets import target_of
from .targets.target import MADE_BY

__all__ = ['Detections', 'ExportedDetector']


class Detections(NamedTuple):
    """What is in an image, best first."""

    #: ``(N, 4)`` float32: x1, y1, x2, y2 in pixels of the image given.
    boxes: np.ndarray
    #: ``(N,)`` float32, 0 to 1.
    scores: np.ndarray
    #: ``(N,)`` int64, indices into ``ExportedDetector.classes``.
    labels: np.ndarray

    @property
    def pred_instances(self) -> _Instances:
        """The same as MMDetection's results have it, for ``supervision.Detections.from_mmdetection``."""
        return _Instances(**{name: part.view(_Array) for name, part in zip(('bboxes', 'scores', 'labels'), self)})


class _Array(np.ndarray):
    """NumPy's array with the methods that make one of a tensor."""

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
        threads: Threads that compute; the runtime decides where it is None.
        target: What runs it, such as ``openvino`` for an ONNX file; by default what its suffix says.

    Attributes:
        classes: Names of the classes, by label.
        category_ids: The number of each in the annotations of the training; None in files of earlier versions.
        resize: How an image is resized.

    Raises:
        UserError: (a ``ValueError``) If there is no such file, if it is not one of ours, if it has no boxes, or if the
            threads are fewer than one.

    Example:
        >>> from mmdet_shufflenetv2.deploy import ExportedDetector      # doctest: +SKIP
        >>> import cv2                                               # doctest: +SKIP
        >>> detector = ExportedDetector('nanodet_m.onnx')                # doctest: +SKIP
        >>> boxes, scores, labels = detector(cv2.imread('photo.jpg'))    # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike, threads: int | None = None, target: str | None = None) -> None:
        runtime = target_of(path, target)
        runtime.need(runtime.run_modules, f'Running {path}')
        if not os.path.exists(path):
            raise UserError(f'There is no file {path}. snv2 export CONFIG CHECKPOINT {path} makes one.')
        if threads is not None and threads < 1:
            raise UserError(f'threads={threads} does not fit: expected 1 or more, or None for the runtime\'s choice.')
        self._run, about = runtime.load(Path(path), threads)
        if MADE_BY not in about:
            raise UserError(f'{path} was not made by snv2 export: it lacks the classes and how to resize an image. '
                            f'Export the detector again, or run the file with {runtime.name} itself.')
        if 'classes' not in about:
            raise UserError(f'{path} is a backbone (exported with backbone_only=True) and finds no boxes. Export the '
                            f'whole detector, without `backbone_only`.')
        self.classes: tuple[str, ...] = tuple(json.loads(about['classes']))
        ids = json.loads(about.get('category_ids', 'null'))
        self.category_ids: tuple[int, ...] | None = ids and tuple(ids)
        self.resize = Resize(**json.loads(about['resize']))

    def __call__(self, image: np.ndarray) -> Detections:
        """Detect objects.

        Args:
            image: ``(H, W, 3)`` uint8 of any size; blue, green, red, as ``cv2.imread`` reads it.

        Raises:
            UserError: If it is no such array.
        """
        resized = self.resized(image)
        dets, labels, *_ = self._run(resized)  # masks are for programs that read the file themselves
        factors = np.array([image.shape[1] / resized.shape[1], image.shape[0] / resized.shape[0]] * 2, np.float32)
        return Detections(dets[:, :4] * factors, dets[:, 4], labels)

    def resized(self, image: np.ndarray) -> np.ndarray:
        """The image in the size that the graph wants; see :meth:`__call__`."""
        check_image(image)
        return self.resize(image)
