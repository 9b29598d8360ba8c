"""How many images are told right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from torch import Tensor

__all__ = ['TopKAccuracy']


@METRICS.register_module()
class TopKAccuracy(BaseMetric):
    """Percentage of images whose class is among the k that score highest: ``accuracy/top1``, ``accuracy/top5``.

    Args:
        topk: The k to report.
        kwargs: Arguments of ``mmengine.evaluator.BaseMetric``.
    """

    default_prefix = 'accuracy'

    def __init__(self, topk: Sequence[int] = (1, 5), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.topk = topk

    def process(self, data_batch: Any, data_samples: tuple[Tensor, Tensor]) -> None:
        """Note, for each image, which of the best classes is the right one.

        Args:
            data_batch: Unused.
            data_samples: ``(N, C)`` logits and ``(N, )`` labels.
        """
        logits, labels = data_samples
        best = logits.topk(min(max(self.topk), logits.shape[1])).indices
        # One row per image: MMEngine drops the images that fill up the last batch of several processes.
        self.results.extend((best == labels[:, None]).tolist())

    def compute_metrics(self, results: list[list[bool]]) -> dict[str, float]:
        """Percentages over the rows of all processes."""
        hits = np.array(results)
        return {f'top{k}': 100 * float(hits[:, :k].any(axis=1).mean()) for k in self.topk}
