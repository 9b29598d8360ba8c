"""Run any detector (config and checkpoint, or exported file) on images with one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..deploy.exported import Detections, ExportedDetector
from ..deploy.targets import is_exported
from ..utils.errors import UserError
from ..utils.installation import TRAINING
from .views import Views

__all__ = ['Detector']

Image = str | os.PathLike[str] | np.ndarray


class Detector:
    """A trained detector as a function from images to detections.

    Args:
        config_or_file: A config file; or a checkpoint with its config inside (all checkpoints of this package, and
            NanoDet's own files); or a name of published weights, such as ``nanodet-plus-m-416``; or a file from
            ``snv2 export``, which needs no PyTorch. None takes the config from ``weights``.
        weights: Checkpoint of the config's model; None if the first argument is a checkpoint or an exported file.
        device: ``cpu``, ``cuda:0``, ...; by default a GPU if there is one. Exported files run on the CPU.
        shuffle_free: Use the shuffle-free form of the backbone, see :mod:`..deploy`. Exported files have it already.
        cfg_options: Config entries to override.

    Attributes:
        classes: Class names by label.
        category_ids: The ``category_id`` of each class in the training annotations, for COCO results; None for
            ``.onnx`` files of earlier versions.
        batch: Images per call of an exported file; 1 for PyTorch, which takes any number.

    Raises:
        UserError: If a file, the device or an argument is invalid.

    Example:
        >>> from mmdet_shufflenetv2 import Detector                              # doctest: +SKIP
        >>> detector = Detector('configs/nanodet_m_snv2.py', 'nanodet_m.ckpt')   # doctest: +SKIP
        >>> boxes, scores, labels = detector('photo.jpg')                        # doctest: +SKIP
        >>> [detector.classes[label] for label in labels[scores > 0.5]]          # doctest: +SKIP
    """

    def __init__(
        self,
        config_or_file: str | os.PathLike[str] | None,
        weights: str | os.PathLike[str] | None = None,
        *,
        device: str | None = None,
        shuffle_free: bool = False,
        cfg_options: dict[str, Any] | None = None,
    ) -> None:
        if config_or_file is not None and is_exported(config_or_file):
            self._load_exported(
                config_or_file,
                {
                    str(weights): weights,
                    '`device`': device not in (None, 'cpu'),
                    '`shuffle_free`': shuffle_free,
                    '`cfg_options`': cfg_options,
                },
            )
            return
        if weights is None and Path(config_or_file or '').suffix not in ('.py', '.json', '.yaml', '.yml'):
            config_or_file, weights = None, config_or_file
        if weights is None:
            raise UserError(
                f'{config_or_file} needs weights. Expected Detector(CONFIG, WEIGHTS), or only a checkpoint '
                f'or an exported file.'
            )
        if not TRAINING:
            raise UserError(
                f'{weights} needs PyTorch and MMDetection, which are not installed. Export it on a machine '
                f'that has them: snv2 export CONFIG CHECKPOINT detector.onnx'
            )
        from ..config.detector import load_detector  # these modules need PyTorch
        from .torch_detector import TorchDetector

        model: Any = load_detector(config_or_file, weights, device, cfg_options)
        if shuffle_free:
            from ..deploy import shuffle_free_detector

            model = shuffle_free_detector(model)
        self.classes: tuple[str, ...] = tuple(model.dataset_meta['classes'])
        self.category_ids: tuple[int, ...] | None = tuple(model.dataset_meta['category_ids'])
        self.batch = 1
        self._detect: Callable[[Sequence[np.ndarray]], list[Detections]] = TorchDetector(model)

    def _load_exported(self, path: str | os.PathLike[str], others: dict[str, Any]) -> None:
        if given := [name for name, value in others.items() if value]:
            raise UserError(
                f'{path} is an exported detector: it contains its weights and runs on the CPU. Remove '
                f'{", ".join(given)}.'
            )
        exported = ExportedDetector(path)
        self.classes, self.category_ids = exported.classes, exported.category_ids
        self.batch, self._detect = exported.batch, exported.detect

    def __call__(
        self,
        images: Image | Sequence[Image],
        *,
        tiles: int | None = None,
        overlap: float | None = None,
        tta: bool = False,
        batch_size: int = 8,
    ) -> Detections | list[Detections]:
        """Detect objects.

        Args:
            images: An image file, or an array ``(H, W, 3)`` of uint8 in BGR order as from ``cv2.imread``. A list of
                images is processed as one batch and gives a list of results.
            tiles, overlap, tta: Detect in tiles of large images, and in mirror images, see :class:`.views.Views`.
            batch_size: Number of tiles or mirror images of an image per batch.

        Returns:
            boxes ``(N, 4)``: x1, y1, x2, y2 in pixels, clipped to the image; scores ``(N,)`` in descending order;
            labels ``(N,)``, indices into :attr:`classes`.

        Raises:
            UserError: If a file cannot be read, an array is not an image, or an argument is out of range.
        """
        views = Views(tiles, overlap, tta)
        many = isinstance(images, (list, tuple))
        given: Any = images if many else [images]
        arrays: list[np.ndarray] = [_read(image) if isinstance(image, (str, os.PathLike)) else image for image in given]
        found = (
            [views.detect(self._detect_inside, array, batch_size) for array in arrays]
            if views.many
            else self._detect_inside(arrays)
        )
        return found if many else found[0]

    def _detect_inside(self, images: Sequence[np.ndarray]) -> list[Detections]:
        return [_inside(found, image) for found, image in zip(self._detect(images), images)] if images else []


def _read(path: str | os.PathLike[str]) -> np.ndarray:
    from ..utils.images import read_image  # needs Pillow

    return read_image(path)


def _inside(found: Detections, image: np.ndarray) -> Detections:
    # A detector that pads its input can return boxes outside the image.
    height, width = image.shape[:2]
    return found._replace(boxes=np.clip(found.boxes, 0, np.array([width, height] * 2, np.float32)))
