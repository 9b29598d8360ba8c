"""The targets of a validation loss: the annotations of an image in pixels of the network's input.

MMDetection evaluates in pixels of the original image, so its test pipelines load annotations after all transforms.
"""

from __future__ import annotations

from typing import Any

from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS

__all__ = ['LOSS_TARGETS', 'KeepLossTargets']

#: Meta key of a data sample that stores the targets.
LOSS_TARGETS = 'loss_targets'


@TRANSFORMS.register_module()
class KeepLossTargets(BaseTransform):
    """Move the transformed annotations of an image to ``loss_targets``, before those of the evaluation are loaded.

    Removed keys: ``gt_bboxes``, ``gt_bboxes_labels``, ``gt_ignore_flags``, ``gt_masks``. Added key: ``loss_targets``, a
    ``DetDataSample`` with these annotations.
    """

    def __init__(self) -> None:
        self.pack = PackDetInputs(meta_keys=())

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Move the annotations of one image."""
        keys = [*self.pack.mapping_table, 'gt_ignore_flags']
        objects = {key: results.pop(key) for key in keys if key in results}
        results[LOSS_TARGETS] = self.pack(objects)['data_samples']
        return results
