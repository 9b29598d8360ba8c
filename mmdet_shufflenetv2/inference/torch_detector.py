"""Run a PyTorch detector on a batch of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.utils import get_test_pipeline_cfg

from ..deploy.exported import Detections
from ..deploy.resizing import check_image

__all__ = ['TorchDetector']


class TorchDetector:
    """A detector of :func:`..config.detector.load_detector` as a function of a batch.

    mmdet's ``inference_detector`` processes a list of images one by one.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        steps = get_test_pipeline_cfg(model.cfg.copy())
        steps[0].type = 'mmdet.LoadImageFromNDArray'
        self._pipeline = Compose(steps)

    @torch.no_grad()
    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Detect objects in arrays ``(H, W, 3)`` of uint8 in BGR order.

        Images of different sizes are padded to the largest one, as in evaluation.

        Raises:
            UserError: If an array has another shape or type.
        """
        for image in images:
            check_image(image)
        samples = [self._pipeline(dict(img=image, img_id=number)) for number, image in enumerate(images)]
        batch = {key: [sample[key] for sample in samples] for key in ('inputs', 'data_samples')}
        found = [sample.pred_instances.cpu().numpy() for sample in self.model.test_step(batch)]
        return [Detections(one.bboxes, one.scores, one.labels) for one in found]
