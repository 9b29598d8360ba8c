"""NanoDet as an MMDetection detector: a single-stage detector that also reads NanoDet's own checkpoints."""

from __future__ import annotations

from typing import Any

from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS

from ...checkpoints.nanodet_layout import convert_state_dict

__all__ = ['NanoDet']


@MODELS.register_module()
class NanoDet(SingleStageDetector):
    """Backbone, :class:`.LightPAN` and :class:`.NanoDetHead`.

    Its arguments are those of ``mmdet.models.SingleStageDetector``. Checkpoints of NanoDet load unchanged.

    Raises:
        UserError: When weights are loaded, if they belong to another NanoDet.
    """

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Every way of loading calls this: load_state_dict, init_cfg, load_from, the tools.
        convert_state_dict(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)
