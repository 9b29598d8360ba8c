"""Running an exported detector with NumPy, OpenCV and onnxruntime alone: no PyTorch, nothing of OpenMMLab.

Images are arrays here; reading image files takes Pillow besides (:mod:`..utils.images`).
"""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

import numpy as np

from ..utils.errors import UserError

__all__ = ['INTERPOLATIONS', 'MADE_BY', 'Detections', 'OnnxDetector', 'Resize', 'check_image', 'session']

#: Metadata entry that tells a file of ours.
MADE_BY = 'mmdet_shufflenetv2'

#: MMDetection's name of a way to resize -> OpenCV's or Pillow's, by backend.
INTERPOLATIONS = dict(
    cv2=dict(nearest='INTER_NEAREST', bilinear='INTER_LINEAR', bicubic='INTER_CUBIC', area='INTER_AREA',
             lanczos='INTER_LANCZOS4'),
    pillow=dict(nearest='NEAREST', bilinear='BILINEAR', bicubic='BICUBIC', box='BOX', lanczos='LANCZOS',
                hamming='HAMMING'),
    # OpenCV's warpPerspective: corners are aligned, not centres of pixels.
    warp=dict(bilinear='INTER_LINEAR'))


class Resize(NamedTuple):
    """How an image is resized before the graph sees it; stored in the file as JSON.

    With ``keep_ratio`` the image is made as large as fits into the two sides, the longer of the image's in the longer
    of ``scale``, or, with ``fit``, its width in the first and its height in the second; otherwise it becomes ``scale``.
    """

    scale: tuple[int, int]
    keep_ratio: bool
    #: Fractions of a pixel are cut off, as by MMDetection's FixScaleResize, or rounded.
    cut: bool
    #: Not in files of earlier versions; nor is what follows.
    fit: bool = False
    #: Of :data:`INTERPOLATIONS`.
    interpolation: str = 'bilinear'
    #: ``cv2``, ``pillow`` or ``warp``.
    backend: str = 'cv2'

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the resized image."""
        if not self.keep_ratio:
            return self.scale[1], self.scale[0]
        sides, of = (self.scale, (width, height)) if self.fit else (sorted(self.scale), sorted((width, height)))
        factor = min(sides[0] / of[0], sides[1] / of[1])
        half = 0.0 if self.cut else 0.5
        return max(int(height * factor + half), 1), max(int(width * factor + half), 1)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The image ``(H, W, 3)`` uint8, resized."""
        height, width = self.size(*image.shape[:2])
        name = INTERPOLATIONS[self.backend][self.interpolation]
        if self.backend == 'pillow':
            from PIL import Image  # only this resizing needs it
            return np.array(Image.fromarray(image).resize((width, height), getattr(Image.Resampling, name)))
        import cv2
        if self.backend == 'warp':
            matrix = np.diag([width / image.shape[1], height / image.shape[0], 1.0])
            return cv2.warpPerspective(image, matrix, (width, height), flags=getattr(cv2, name))
        return cv2.resize(image, (width, height), interpolation=getattr(cv2, name))


class Detections(NamedTuple):
    """What is in an image, best first."""

    #: ``(N, 4)`` float32: x1, y1, x2, y2 in pixels of the image given.
    boxes: np.ndarray
    #: ``(N,)`` float32, 0 to 1.
    scores: np.ndarray
    #: ``(N,)`` int64, indices into ``OnnxDetector.classes``.
    labels: np.ndarray


class OnnxDetector:
    """A detector exported by ``snv2 export``.

    Args:
        path: The ONNX file.
        threads: Threads that compute; onnxruntime decides where it is None.

    Attributes:
        classes: Names of the classes, by label.
        category_ids: The number of each in the annotations of the training; None in files of earlier versions.
        resize: How an image is resized.

    Raises:
        UserError: (a ``ValueError``) If there is no such file, if it is not one of ours, if it has no boxes, or if the
            threads are fewer than one.

    Example:
        >>> from mmdet_shufflenetv2.deploy import OnnxDetector       # doctest: +SKIP
        >>> import cv2                                               # doctest: +SKIP
        >>> detector = OnnxDetector('nanodet_m.onnx')                # doctest: +SKIP
        >>> boxes, scores, labels = detector(cv2.imread('photo.jpg'))    # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike, threads: int | None = None) -> None:
        self._session = session(path, threads)
        about = self._session.get_modelmeta().custom_metadata_map
        if MADE_BY not in about:
            raise UserError(f'{path} was not made by snv2 export: it lacks the classes and how to resize an image. '
                            f'Export the detector again, or run the file with onnxruntime itself.')
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
        dets, labels = self._session.run(None, {'image': resized})
        factors = np.array([image.shape[1] / resized.shape[1], image.shape[0] / resized.shape[0]] * 2, np.float32)
        return Detections(dets[:, :4] * factors, dets[:, 4], labels)

    def resized(self, image: np.ndarray) -> np.ndarray:
        """The image in the size that the graph wants; see :meth:`__call__`."""
        check_image(image)
        return self.resize(image)


def session(path: str | os.PathLike | bytes, threads: int | None = None, profile_prefix: str | None = None) -> Any:
    """An onnxruntime session of a file.

    Args:
        path: The file, or what is in it.
        threads: Threads to compute on; None leaves their number to onnxruntime.
        profile_prefix: What the name of the profile that onnxruntime writes begins with; None writes none.

    Raises:
        UserError: If onnxruntime or the file is missing, the file is no graph, or the threads are fewer than one.
    """
    try:
        import onnxruntime  # optional
    except ImportError as error:
        raise UserError('An exported graph needs onnxruntime: pip install onnxruntime') from error
    if not isinstance(path, bytes) and not os.path.isfile(path):
        raise UserError(f'There is no file {path}. snv2 export CONFIG CHECKPOINT {path} makes one.')
    if threads is not None and threads < 1:
        raise UserError(f'threads={threads} does not fit: expected 1 or more, or None for onnxruntime\'s own choice.')
    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    # Threads that wait for work in a loop take it from whatever else the machine does.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 3
    if profile_prefix is not None:
        options.enable_profiling, options.profile_file_prefix = True, profile_prefix
    try:
        return onnxruntime.InferenceSession(os.fspath(path), options, providers=['CPUExecutionProvider'])
    except Exception as error:  # its own classes, all direct children of Exception
        raise UserError(f'{path} cannot be read as an ONNX graph: {str(error).splitlines()[0]}') from error


def check_image(image: Any) -> None:
    """Raise a :class:`UserError` unless it is an array ``(H, W, 3)`` of uint8."""
    if not isinstance(image, np.ndarray):
        raise UserError(f'An image is a NumPy array (H, W, 3) of uint8, as cv2.imread returns; got '
                        f'{"None: the file could not be read" if image is None else type(image).__name__}.')
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise UserError(f'An image is an array (H, W, 3) of uint8, blue, green, red; got {image.shape} of '
                        f'{image.dtype}.')
