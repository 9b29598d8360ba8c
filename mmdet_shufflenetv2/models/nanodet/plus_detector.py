"""NanoDet-Plus as a detector of MMDetection: NanoDet that is guided in training."""

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
    """Backbone, :class:`.GhostPAN` and :class:`.NanoDetPlusHead`; in training :class:`.AssignGuidance`, too.

    Args:
        train_cfg: With ``assign_guidance``, arguments of :class:`.AssignGuidance`. Without it, or without
            ``train_cfg``, there is none: cells are then matched by what the head itself predicts.
        kwargs: Further arguments of ``mmdet.models.SingleStageDetector``. Checkpoints of NanoDet load as they are, with
            their guidance or without it.

    Raises:
        UserError: When weights are loaded, if they are of another NanoDet.
    """

    def __init__(self, *, train_cfg: dict | None = None, **kwargs: Any) -> None:
        super().__init__(train_cfg=train_cfg, **kwargs)
        guidance = (train_cfg or {}).get('assign_guidance')
        self.assign_guidance = None if guidance is None else AssignGuidance(
            kwargs['neck'], kwargs['bbox_head'], **guidance)

    def init_weights(self) -> None:
        """Draw or load all weights; the auxiliary neck begins as a copy of the detector's."""
        super().init_weights()
        if self.assign_guidance is not None:
            self.assign_guidance.neck.load_state_dict(self.neck.state_dict())

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Losses of a batch; arguments as in ``mmdet.models.SingleStageDetector``.

        Returns:
            The head's, see :meth:`.NanoDetPlusHead.loss_by_feat`, and the auxiliary head's with ``aux_`` in front.
        """
        if self.assign_guidance is None:
            return super().loss(batch_inputs, batch_data_samples)
        gt, ignored, metas = unpack_gt_instances(batch_data_samples)
        features = self.backbone(batch_inputs)
        levels = self.neck(features)
        guide = self.assign_guidance(features, levels)
        head, aux_head = self.bbox_head, self.assign_guidance.head
        targets = aux_head.assign(*guide, gt)
        losses = head.loss_by_feat(*head(levels), gt, metas, ignored, targets)
        aux_losses = aux_head.loss_by_feat(*guide, gt, metas, ignored, targets)
        return losses | {f'aux_{name}': loss for name, loss in aux_losses.items()}

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        convert_state_dict(self, state_dict, prefix)
        given = [key for key in state_dict if key.startswith(prefix + GUIDANCE)]
        if self.assign_guidance is None:
            for key in given:
                del state_dict[key]
        elif not given:  # weights for inference: the guidance begins anew
            for key, own in self.assign_guidance.state_dict().items():
                state_dict[prefix + GUIDANCE + key] = state_dict.get(prefix + key, own) if key.startswith(
                    'neck.') else own
        super()._load_from_state_dict(state_dict, prefix, *args)
