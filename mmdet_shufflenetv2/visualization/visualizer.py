"""MMDetection's visualizer with readable names."""

from __future__ import annotations

import cv2
import numpy as np
from mmdet.registry import VISUALIZERS
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData

from . import class_color, draw_boxes

__all__ = ['BoxVisualizer']

#: Smaller images are enlarged to this long side in pixels. Otherwise a name would cover most of the image.
_LONG_SIDE = 256


@VISUALIZERS.register_module()
class BoxVisualizer(DetLocalVisualizer):
    """MMDetection's visualizer with boxes whose names do not overlap. Small images are enlarged.

    Masks are drawn by MMDetection.
    """

    def _draw_instances(
        self,
        image: np.ndarray,
        instances: InstanceData,
        classes: list[str] | None,
        palette: list[tuple[int, ...]] | None,
    ) -> np.ndarray:
        """Draw ground truth or detections. Arguments and result (RGB) are as in MMDetection."""
        factor = max(1.0, _LONG_SIDE / max(image.shape[:2]))
        if 'masks' in instances:
            return _enlarged(super()._draw_instances(image, instances, classes, palette), factor)
        labels = instances.labels.tolist()
        names = [classes[label] if classes else f'class {label}' for label in labels]
        if 'scores' in instances:
            names = [f'{name} {score:.2f}' for name, score in zip(names, instances.scores.tolist())]
        boxes = getattr(instances.bboxes, 'tensor', instances.bboxes).reshape(-1, 4)
        drawn = draw_boxes(
            _enlarged(image, factor)[..., ::-1],
            np.asarray(boxes) * factor,
            names,
            [class_color(label) for label in labels],
        )
        return np.ascontiguousarray(drawn[..., ::-1])


def _enlarged(image: np.ndarray, factor: float) -> np.ndarray:
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
