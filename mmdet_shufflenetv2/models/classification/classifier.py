"""ShuffleNet V2 as an ImageNet classifier (table 5 of the paper, the last two rows)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.registry import METRICS, MODELS
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import v2

from ...checkpoints.shufflenet_layouts import LAYOUTS

__all__ = ['ImageClassifier', 'TopKAccuracy']


@MODELS.register_module()
class ImageClassifier(BaseModel):
    """A backbone, global average pooling, dropout and one fully connected layer.

    The dataset normalizes the images. Weights of a complete classifier load in every layout that the backbone reads
    (:mod:`...checkpoints.shufflenet_layouts`). A checkpoint of this class can be the ``init_cfg`` of a backbone.

    Args:
        backbone: Config of the backbone. Its last output is pooled, conv5 in the paper.
        num_classes: Number of classes.
        dropout: Dropout rate of the pooled features.
        fc_bias: Whether the fully connected layer has a bias; the authors' layer has none.
        label_smoothing: Label smoothing, 0 to 1.
        mixup_alpha: Train with MixUp; the mixing ratio is from Beta(alpha, alpha). 0 turns it off.
        cutmix_alpha: Train with CutMix, likewise. If both are on, each batch uses one of the two.
        init_cfg: MMEngine's initialization config.

    Example:
        >>> import torch
        >>> from mmdet_shufflenetv2.models.classification import ImageClassifier
        >>> classifier = ImageClassifier(dict(type='ShuffleNetV2', out_indices=(4, ))).eval()
        >>> classifier(torch.rand(2, 3, 224, 224)).shape
        torch.Size([2, 1000])
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        num_classes: int = 1000,
        dropout: float = 0.0,
        fc_bias: bool = True,
        label_smoothing: float = 0.0,
        mixup_alpha: float = 0.0,
        cutmix_alpha: float = 0.0,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(self.backbone.feature_info[-1].channels, num_classes, bias=fc_bias)
        self.label_smoothing = label_smoothing
        blends = [
            kind(alpha=alpha, num_classes=num_classes)
            for kind, alpha in ((v2.MixUp, mixup_alpha), (v2.CutMix, cutmix_alpha))
            if alpha
        ]
        self.blend = v2.RandomChoice(blends) if blends else None

    def forward(
        self, inputs: Tensor, labels: Tensor | None = None, mode: str = 'tensor'
    ) -> Tensor | dict[str, Tensor] | tuple[Tensor, Tensor | None]:
        """Compute logits, or what MMEngine's training and evaluation need.

        Args:
            inputs: ``(N, 3, H, W)`` normalized images.
            labels: ``(N, )`` class indices; required with ``mode='loss'``.
            mode: ``tensor``, ``loss`` or ``predict``.

        Returns:
            ``(N, num_classes)`` logits; with ``loss`` the cross entropy as ``{'loss': ()}``; with ``predict`` logits
            and labels, which :class:`.TopKAccuracy` compares.

        Raises:
            ValueError: With ``mode='loss'``, if there are no labels.
        """
        if mode == 'loss':
            if labels is None:
                raise ValueError("mode='loss' needs labels: got None.")
            if self.blend is not None:
                inputs, labels = self.blend(inputs, labels)
            return dict(loss=F.cross_entropy(self._logits(inputs), labels, label_smoothing=self.label_smoothing))
        logits = self._logits(inputs)
        return (logits, labels) if mode == 'predict' else logits

    def _logits(self, inputs: Tensor) -> Tensor:
        return self.fc(self.dropout(self.backbone(inputs)[-1].mean((2, 3))))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # The backbone converts the layouts; here the keys only get the prefix of the backbone or of fc.
        for key in [key for key in state_dict if key.startswith(prefix)]:
            state_dict[prefix + _own_name(key.removeprefix(prefix))] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args)


_FC_NAMES = tuple({start for layout in LAYOUTS for start in layout.classifier})


def _own_name(key: str) -> str:
    key = re.sub(r'^((module|_orig_mod)\.)+', '', key)
    if key.startswith(_FC_NAMES):  # fc.weight, head.fc.weight, classifier.0.weight
        return f'fc.{key.rsplit(".", 1)[1]}'
    return key if key.startswith('backbone.') else f'backbone.{key}'


@METRICS.register_module()
class TopKAccuracy(BaseMetric):
    """Top-k accuracy in percent: ``accuracy/top1``, ``accuracy/top5``.

    Other arguments are those of ``mmengine.evaluator.BaseMetric``.
    """

    default_prefix = 'accuracy'

    def __init__(self, topk: Sequence[int] = (1, 5), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.topk = topk

    def process(self, data_batch: Any, data_samples: tuple[Tensor, Tensor]) -> None:
        """Store, per image, which of the top classes is correct, from ``(N, C)`` logits and ``(N, )`` labels."""
        logits, labels = data_samples
        best = logits.topk(min(max(self.topk), logits.shape[1])).indices
        # One row per image: MMEngine drops the images that pad the last batch of several processes.
        self.results.extend((best == labels[:, None]).tolist())

    def compute_metrics(self, results: list[list[bool]]) -> dict[str, float]:
        """Compute the accuracies over the rows of all processes."""
        hits = np.array(results)
        return {f'top{k}': 100 * float(hits[:, :k].any(axis=1).mean()) for k in self.topk}
