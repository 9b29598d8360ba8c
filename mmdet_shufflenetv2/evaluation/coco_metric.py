"""COCO metrics with faster-coco-eval: the same values as pycocotools in less than a tenth of the time."""

from __future__ import annotations

from itertools import chain
from typing import Any

import mmdet.evaluation.metrics.coco_metric as mmdet_coco_metric
import numpy as np
from mmdet.registry import METRICS
from mmengine.logging import print_log
from pycocotools.cocoeval import COCOeval

from ..compat.patches import install, replaced

try:
    from faster_coco_eval import COCOeval_faster
except ImportError:
    COCOeval_faster = None

__all__ = ['BACKENDS', 'CocoMetric', 'FastEvaluation']


class FastEvaluation(COCOeval):
    """pycocotools' ``COCOeval``, computed by faster-coco-eval. ``evalImgs`` stays empty.

    Parameters and summary are those of pycocotools: in faster-coco-eval, the first value uses the last of ``maxDets``,
    in pycocotools it uses 100. pycocotools evaluates if an id is not an integer, or if faster-coco-eval is not
    installed.
    """

    def evaluate(self) -> None:
        """Match detections to ground truth and compute the tables."""
        params = self.params
        ids = chain(
            params.imgIds,
            params.catIds,
            *((one['id'] for one in coco.anns.values()) for coco in (self.cocoGt, self.cocoDt)),
        )
        self._is_fast = (
            COCOeval_faster is not None
            and params.iouType in ('bbox', 'segm')
            and all(isinstance(one, (int, np.integer)) for one in ids)
        )
        if not self._is_fast:
            super().evaluate()
            return
        params.imgIds, params.catIds = (np.unique(each).tolist() for each in (params.imgIds, params.catIds))
        params.maxDets = sorted(params.maxDets)
        fast = COCOeval_faster(self.cocoGt, self.cocoDt, params.iouType, print_function=print)
        for name in ('imgIds', 'catIds', 'maxDets', 'areaRng', 'areaRngLbl', 'iouThrs', 'recThrs', 'useCats'):
            setattr(fast.params, name, getattr(params, name))
        fast.evaluate()
        self.eval = fast.eval

    def accumulate(self, p: Any = None) -> None:
        """Compute the tables ``precision`` ``(T, R, K, A, M)``, ``recall`` ``(T, K, A, M)`` and ``scores``."""
        if not self._is_fast:  # otherwise they are computed already
            super().accumulate(p)


#: ``backend`` of :class:`CocoMetric` -> its evaluation class.
BACKENDS = {'faster-coco-eval': FastEvaluation, 'pycocotools': COCOeval}


class CocoMetric(mmdet_coco_metric.CocoMetric):
    """Replaces MMDetection's ``CocoMetric`` and adds a choice of the backend.

    Args:
        backend: ``faster-coco-eval`` (default; pycocotools is used if it is not installed) or ``pycocotools``. Both
            give the same values.
        kwargs: Arguments of ``mmdet.evaluation.CocoMetric``.

    Raises:
        ValueError: If the backend is unknown.
    """

    def __init__(self, *args: Any, backend: str = 'faster-coco-eval', **kwargs: Any) -> None:
        if backend not in BACKENDS:
            raise ValueError(f'backend={backend!r}: expected one of {", ".join(BACKENDS)}.')
        super().__init__(*args, **kwargs)
        if backend == 'faster-coco-eval' and COCOeval_faster is None:
            print_log(
                'faster-coco-eval is not installed: using pycocotools, which is slower. To install it: '
                'pip install faster-coco-eval',
                'current',
            )
        self.backend = backend

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Compute the metrics of the results of :meth:`process`. Names are as in MMDetection."""
        with replaced('mmdet.evaluation.metrics.coco_metric.COCOeval', mmdet_coco_metric, BACKENDS[self.backend]):
            return super().compute_metrics(results)


install('METRICS:CocoMetric', METRICS.register_module, force=True, module=CocoMetric)
