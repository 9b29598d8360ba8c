"""ShuffleNet V2 as the paper first trains it: to tell 1000 classes of images apart (table 5, the last two rows)."""

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

    Images come normalised from the data set. The weights of a whole classifier load in every layout that the backbone
    reads (:mod:`...checkpoints.shufflenet_layouts`); a checkpoint of this class, in turn, is a backbone's ``init_cfg``.

    Args:
        backbone: Config of the backbone; its last output is pooled, conv5 in the paper.
        num_classes: Number of classes.
        dropout: Share of the pooled features that training drops.
        fc_bias: Whether the fully connected layer has a bias; the authors' has none.
        label_smoothing: Share of the target that all classes divide among them.
        mixup_alpha: Train on blends of two images; of Beta(alpha, alpha) is the share of the first. 0 for none.
        cutmix_alpha: Train on images with a patch of another. Where ``mixup_alpha`` is given too, each batch is
            treated in one of the two ways.
        init_cfg: MMEngine's initialisation config.

    Example:
        >>> import torch
        >>> from mmdet_shufflenetv2.models.classification import ImageClassifier
        >>> classifier = ImageClassifier(dict(type='ShuffleNetV2', out_indices=(4, ))).eval()
        >>> classifier(torch.rand(2, 3, 224, 224)).shape
        torch.Size([2, 1000])
    """

    def __init__(self, backbone: dict, num_classes: int = 1000, dropout: float = 0.0, fc_bias: bool = True,
                 label_smoothing: float = 0.0, mixup_alpha: float = 0.0, cutmix_alpha: float = 0.0,
                 init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(self.backbone.feature_info[-1].channels, num_classes, bias=fc_bias)
        self.label_smoothing = label_smoothing
        blends = [kind(alpha=alpha, num_classes=num_classes)
                  for kind, alpha in ((v2.MixUp, mixup_alpha), (v2.CutMix, cutmix_alpha)) if alpha]
        self.blend = v2.RandomChoice(blends) if blends else None

    def forward(self, inputs: Tensor, labels: Tensor | None = None,
                mode: str = 'tensor') -> Tensor | dict[str, Tensor] | tuple[Tensor, Tensor | None]:
        """Class scores, or what MMEngine's training and evaluation make of them.

        Args:
            inputs: ``(N, 3, H, W)`` normalised images.
            labels: ``(N, )`` class numbers.
            mode: ``tensor``, ``loss`` or ``predict``.

        Returns:
            ``(N, num_classes)`` logits; with ``loss`` the cross entropy as ``{'loss': ()}``; with ``predict`` logits
            and labels, which :class:`.TopKAccuracy` compares.
        """
        if mode == 'loss' and self.blend is not None:
            inputs, labels = self.blend(inputs, labels)
        logits = self.fc(self.dropout(self.backbone(inputs)[-1].mean((2, 3))))
        if mode == 'loss':
            return dict(loss=F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing))
        return (logits, labels) if mode == 'predict' else logits

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # The backbone knows the layouts; it only has to find its part under its own name, and fc the rest.
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
    """Percentage of images whose class is among the ``topk`` that score highest: ``accuracy/top1``, ``accuracy/top5``.

    Other arguments are those of ``mmengine.evaluator.BaseMetric``.
    """

    default_prefix = 'accuracy'

    def __init__(self, topk: Sequence[int] = (1, 5), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.topk = topk

    def process(self, data_batch: Any, data_samples: tuple[Tensor, Tensor]) -> None:
        """Note, for each image, which of the best classes is right, of ``(N, C)`` logits and ``(N, )`` labels."""
        logits, labels = data_samples
        best = logits.topk(min(max(self.topk), logits.shape[1])).indices
        # One row per image: MMEngine drops the images that fill up the last batch of several processes.
        self.results.extend((best == labels[:, None]).tolist())

    def compute_metrics(self, results: list[list[bool]]) -> dict[str, float]:
        """Percentages over the rows of all processes."""
        hits = np.array(results)
        return {f'top{k}': 100 * float(hits[:, :k].any(axis=1).mean()) for k in self.topk}
