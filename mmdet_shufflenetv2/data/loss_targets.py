"""What a validation loss compares with: the objects of an image in the pixels of the network's input.

MMDetection evaluates in the pixels of the original image, so its test pipelines load the objects behind all transforms.
"""

from __future__ import annotations

from typing import Any

from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS

__all__ = ['LOSS_TARGETS', 'KeepLossTargets']

#: Meta key of an image's sample under which its objects travel.
LOSS_TARGETS = 'loss_targets'


@TRANSFORMS.register_module()
class KeepLossTargets(BaseTransform):
    """Take the objects that came through the transforms with their image out of the way of those that are evaluated.

    Removed: ``gt_bboxes``, ``gt_bboxes_labels``, ``gt_ignore_flags``, ``gt_masks``. Added: ``loss_targets``, a
    ``DetDataSample`` of them.
    """

    def __init__(self) -> None:
        self.pack = PackDetInputs(meta_keys=())

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Put aside what one image's results hold."""
        keys = [*self.pack.mapping_table, 'gt_ignore_flags']
        objects = {key: results.pop(key) for key in keys if key in results}
        results[LOSS_TARGETS] = self.pack(objects)['data_samples']
        return results
