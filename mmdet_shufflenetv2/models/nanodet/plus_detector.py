"""NanoDet-Plus as an MMDetection detector: NanoDet with an auxiliary neck and head in training."""

from __future__ import annotations

from typing import Any

from mmdet.models.utils import unpack_gt_instances
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from torch import Tensor

from ...checkpoints.nanodet_layout import GUIDANCE, convert_state_dict
from .assign_guidance import AssignGuidance
from .detector import NanoDet

__all__ = ['NanoDetPlus']


@MODELS.register_module()
class NanoDetPlus(NanoDet):
    """Backbone, :class:`.GhostPAN` and :class:`.NanoDetPlusHead`; in training also :class:`.AssignGuidance`.

    Checkpoints of NanoDet load unchanged, with or without the weights of the guidance.

    Args:
        train_cfg: ``assign_guidance`` has the arguments of :class:`.AssignGuidance`. Without it there is no guidance:
            the head's own predictions decide which cell learns which box.
        kwargs: Other arguments of ``mmdet.models.SingleStageDetector``.

    Raises:
        UserError: When weights are loaded, if they belong to another NanoDet.
    """

    def __init__(self, *, train_cfg: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(train_cfg=train_cfg, **kwargs)
        guidance = (train_cfg or {}).get('assign_guidance')
        self.assign_guidance = (
            None if guidance is None else AssignGuidance(kwargs['neck'], kwargs['bbox_head'], **guidance)
        )

    def init_weights(self) -> None:
        """Initialize or load all weights. The auxiliary neck starts as a copy of the detector's neck."""
        super().init_weights()
        if self.assign_guidance is not None:
            self.assign_guidance.neck.load_state_dict(self.neck.state_dict())

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Compute the losses of a batch; arguments as in ``mmdet.models.SingleStageDetector``.

        Returns:
            The losses of the head, see :meth:`.NanoDetPlusHead.loss_by_feat`, and those of the auxiliary head, prefixed
            with ``aux_``.
        """
        if self.assign_guidance is None:
            return super().loss(batch_inputs, batch_data_samples)
        gt, ignored, metas = unpack_gt_instances(batch_data_samples)
        features = self.backbone(batch_inputs)
        levels = self.neck(features)
        aux_outputs = self.assign_guidance(features, levels)
        head, aux_head = self.bbox_head, self.assign_guidance.head
        targets = aux_head.assign(*aux_outputs, gt)
        losses = head.loss_by_feat(*head(levels), gt, metas, ignored, targets)
        aux_losses = aux_head.loss_by_feat(*aux_outputs, gt, metas, ignored, targets)
        return losses | {f'aux_{name}': loss for name, loss in aux_losses.items()}

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        convert_state_dict(self, state_dict, prefix)
        given = [key for key in state_dict if key.startswith(prefix + GUIDANCE)]
        if self.assign_guidance is None:
            for key in given:
                del state_dict[key]
        elif not given:  # weights for inference: the guidance is re-initialized
            for key, own in self.assign_guidance.state_dict().items():
                state_dict[prefix + GUIDANCE + key] = (
                    state_dict.get(prefix + key, own) if key.startswith('neck.') else own
                )
        super()._load_from_state_dict(state_dict, prefix, *args)
