"""Detections of a PyTorch detector on a batch of arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.utils import get_test_pipeline_cfg
from torch import nn

from ..deploy.exported import Detections
from ..deploy.resizing import check_image

__all__ = ['TorchDetector']


class TorchDetector:
    """What :func:`..config.detector.load_detector` returns as a function of a batch.

    mmdet's ``inference_detector`` computes a list one by one.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        steps = get_test_pipeline_cfg(model.cfg.copy())
        steps[0].type = 'mmdet.LoadImageFromNDArray'
        self._pipeline = Compose(steps)

    @torch.no_grad()
    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Detect objects in arrays ``(H, W, 3)`` of uint8; blue, green, red.

        Images of several sizes are padded to the largest, as in evaluation.

        Raises:
            UserError: If one is no such array.
        """
        for image in images:
            check_image(image)
        samples = [self._pipeline(dict(img=image, img_id=number)) for number, image in enumerate(images)]
        batch = {key: [sample[key] for sample in samples] for key in ('inputs', 'data_samples')}
        found = [sample.pred_instances.cpu().numpy() for sample in self.model.test_step(batch)]
        return [Detections(one.bboxes, one.scores, one.labels) for one in found]
