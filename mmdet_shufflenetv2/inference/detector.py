"""One call from images to boxes, whatever the detector is kept in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..deploy.exported import Detections, ExportedDetector
from ..deploy.targets import is_exported
from ..utils.errors import UserError
from ..utils.installation import TRAINING
from .views import Views

__all__ = ['Detector']

Image = str | os.PathLike | np.ndarray


class Detector:
    """A trained detector as a function from an image to what is in it.

    Args:
        config_or_file: Config file, or a checkpoint with its config inside (all that were trained here, and NanoDet's
            own files, by name too: ``nanodet-plus-m-416``), or a file that ``snv2 export`` made, which needs no
            PyTorch. None takes the config from ``weights``.
        weights: Checkpoint of the config's model; none for a checkpoint or an exported file.
        device: ``cpu``, ``cuda:0``; by default a GPU if there is one. An exported file runs on the CPU.
        shuffle_free: Run the backbone in its shuffle-free form, see :mod:`..deploy`; an exported file has it already.
        cfg_options: Config entries to override.

    Attributes:
        classes: Names of the classes, by label.
        category_ids: The number of each in the annotations of the training, as COCO's results have it; None where an
            ``.onnx`` file of an earlier version does not know them.

    Raises:
        UserError: If a file, the device or an argument is invalid.

    Example:
        >>> from mmdet_shufflenetv2 import Detector                              # doctest: +SKIP
        >>> detector = Detector('configs/nanodet_m_snv2.py', 'nanodet_m.ckpt')   # doctest: +SKIP
        >>> boxes, scores, labels = detector('photo.jpg')                        # doctest: +SKIP
        >>> [detector.classes[label] for label in labels[scores > 0.5]]          # doctest: +SKIP
    """

    def __init__(self, config_or_file: str | os.PathLike | None, weights: str | os.PathLike | None = None, *,
                 device: str | None = None, shuffle_free: bool = False,
                 cfg_options: dict[str, Any] | None = None) -> None:
        if is_exported(config_or_file):
            self._load_exported(config_or_file, {
                str(weights): weights, '`device`': device not in (None, 'cpu'), '`shuffle_free`': shuffle_free,
                '`cfg_options`': cfg_options})
            return
        if weights is None and Path(config_or_file).suffix not in ('.py', '.json', '.yaml', '.yml'):
            config_or_file, weights = None, config_or_file
        if weights is None:
            raise UserError(f'{config_or_file} needs weights: Detector(CONFIG, WEIGHTS), or a checkpoint or an '
                            f'exported file alone.')
        if not TRAINING:
            raise UserError(f'{weights} needs PyTorch and MMDetection, which are not installed here. Export it where '
                            f'they are: snv2 export CONFIG CHECKPOINT detector.onnx')
        from ..config.detector import load_detector  # these need PyTorch, which exported detectors do not
        from .torch_detector import TorchDetector
        model = load_detector(config_or_file, weights, device, cfg_options)
        if shuffle_free:
            from ..deploy import shuffle_free_detector
            model = shuffle_free_detector(model)
        self.classes: tuple[str, ...] = tuple(model.dataset_meta['classes'])
        self.category_ids: tuple[int, ...] | None = tuple(model.dataset_meta['category_ids'])
        self._detect = TorchDetector(model)

    def _load_exported(self, path: str | os.PathLike, others: dict[str, Any]) -> None:
        if given := [name for name, value in others.items() if value]:
            raise UserError(f'{path} is an exported detector: it has its weights and form in it and runs on the CPU. '
                            f'Leave out {", ".join(given)}.')
        exported = ExportedDetector(path)
        self.classes, self.category_ids = exported.classes, exported.category_ids
        self._detect = lambda images: [exported(image) for image in images]

    def __call__(self, images: Image | Sequence[Image], *, tiles: int | None = None, overlap: float | None = None,
                 tta: bool = False, batch_size: int = 8) -> Detections | list[Detections]:
        """Detect objects.

        Args:
            images: An image file or an array ``(H, W, 3)`` of uint8, blue, green, red, as ``cv2.imread`` reads it.
                A list of them is computed as one batch and gives a list.
            tiles, overlap, tta: Detect in tiles of large images, and in mirror images, see :class:`.views.Views`.
            batch_size: Views of an image that are computed at once.

        Returns:
            boxes ``(N, 4)``: x1, y1, x2, y2 in pixels of the image and inside it; scores ``(N,)``, best first; labels
            ``(N,)``, indices into :attr:`classes`.

        Raises:
            UserError: If a file cannot be read, an array is no image, or a number is out of range.
        """
        views = Views(tiles, overlap, tta)
        many = isinstance(images, (list, tuple))
        arrays = [_read(image) if isinstance(image, (str, os.PathLike)) else image
                  for image in (images if many else [images])]
        found = [views.detect(self._detect_inside, array, batch_size) for array in arrays
                 ] if views.many else self._detect_inside(arrays)
        return found if many else found[0]

    def _detect_inside(self, images: Sequence[np.ndarray]) -> list[Detections]:
        return [_inside(found, image) for found, image in zip(self._detect(images), images)] if images else []


def _read(path: str | os.PathLike) -> np.ndarray:
    from ..utils.images import read_image  # needs Pillow, which arrays do not
    return read_image(path)


def _inside(found: Detections, image: np.ndarray) -> Detections:
    # A detector that pads its input on all sides may find a border of an object outside the image.
    height, width = image.shape[:2]
    return found._replace(boxes=np.clip(found.boxes, 0, np.array([width, height] * 2, np.float32)))
