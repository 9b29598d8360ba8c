"""COCO's metrics, computed by faster-coco-eval: pycocotools' figures in less than a tenth of the time."""

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
    """pycocotools' evaluation by faster-coco-eval; ``evalImgs`` stays empty.

    Parameters and summary are pycocotools' own: faster-coco-eval takes the first figure over the last of ``maxDets``,
    pycocotools over 100. Where an id is not an integer, or faster-coco-eval is not installed, pycocotools evaluates.
    """

    def evaluate(self) -> None:
        """Match detections to objects and compute the tables."""
        params = self.params
        ids = chain(params.imgIds, params.catIds, *((one['id'] for one in coco.anns.values())
                                                    for coco in (self.cocoGt, self.cocoDt)))
        self._is_fast = COCOeval_faster is not None and params.iouType in ('bbox', 'segm') and all(
            isinstance(one, (int, np.integer)) for one in ids)
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
        if not self._is_fast:  # else they are there
            super().accumulate(p)


#: ``backend`` of :class:`CocoMetric` -> what evaluates.
BACKENDS = {'faster-coco-eval': FastEvaluation, 'pycocotools': COCOeval}


class CocoMetric(mmdet_coco_metric.CocoMetric):
    """MMDetection's metric of that name, in its place, with a choice of what evaluates.

    Args:
        backend: ``faster-coco-eval``, which is the default and gives way to pycocotools where it is not installed, or
            ``pycocotools``. Both give the same figures.
        kwargs: Arguments of ``mmdet.evaluation.CocoMetric``.

    Raises:
        ValueError: If there is no such backend.
    """

    def __init__(self, *args: Any, backend: str = 'faster-coco-eval', **kwargs: Any) -> None:
        if backend not in BACKENDS:
            raise ValueError(f'backend={backend!r}: expected one of {", ".join(BACKENDS)}.')
        super().__init__(*args, **kwargs)
        if backend == 'faster-coco-eval' and COCOeval_faster is None:
            print_log('faster-coco-eval is not installed: pycocotools evaluates, which takes longer. To install it: '
                      'pip install faster-coco-eval', 'current')
        self.backend = backend

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Metrics of what :meth:`process` has gathered, as MMDetection names them."""
        with replaced('mmdet.evaluation.metrics.coco_metric.COCOeval', mmdet_coco_metric, BACKENDS[self.backend]):
            return super().compute_metrics(results)


install('METRICS:CocoMetric', METRICS.register_module, force=True, module=CocoMetric)
