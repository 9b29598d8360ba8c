"""AP by class and size, and precision-recall curves, from COCO's evaluation."""

from __future__ import annotations

import contextlib
import io
from typing import Any, NamedTuple

import numpy as np
from mmdet.datasets.api_wrappers import COCO  # pycocotools with the fixes of compat.mmdet_fixes

from ..coco_metric import FastEvaluation

__all__ = ['ClassScore', 'Scores', 'SizeScore', 'as_coco', 'evaluate']

#: Index of "all sizes" and of 100 detections per image in pycocotools' tables.
_ALL, _MOST = 0, -1


class ClassScore(NamedTuple):
    """The scores of one class. They are NaN if there are no objects."""

    name: str
    #: Number of objects without crowds.
    objects: int
    ap: float
    ap50: float
    #: Precision at recall 0, 0.01, ..., 1, at IoU 0.5.
    precision50: np.ndarray


class SizeScore(NamedTuple):
    """The scores of one size: small below 32x32 pixels, large above 96x96."""

    name: str
    objects: int
    ap: float
    #: Average recall with 100 detections per image.
    recall: float


class Scores(NamedTuple):
    """The scores that pycocotools computes."""

    #: mmAP, over IoU 0.5 to 0.95; AP at 0.5 and 0.75.
    ap: float
    ap50: float
    ap75: float
    #: Average recall with 100 detections per image.
    recall: float
    sizes: list[SizeScore]
    classes: list[ClassScore]


def evaluate(annotations: dict[str, Any], results: list[dict[str, Any]]) -> Scores:
    """Evaluate boxes as read by :mod:`.inputs`. The values equal those of pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = as_coco(annotations)
        evaluation = FastEvaluation(truth, truth.loadRes([dict(one) for one in results]), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # -1 means that there are no objects.
    stats = np.where(evaluation.stats < 0, np.nan, evaluation.stats)
    precision = evaluation.eval['precision'][..., _ALL, _MOST]  # (IoU, recall, class)
    precision = np.where(precision < 0, np.nan, precision)
    objects = [one for one in annotations['annotations'] if not one['iscrowd']]
    names = {category['id']: category['name'] for category in annotations['categories']}
    classes = [
        ClassScore(
            names[number],
            sum(one['category_id'] == number for one in objects),
            precision[..., index].mean(),
            precision[0, :, index].mean(),
            precision[0, :, index],
        )
        for index, number in enumerate(evaluation.params.catIds)
    ]
    sizes = [
        SizeScore(name, sum(low <= one['area'] <= high for one in objects), stats[3 + index], stats[9 + index])
        for index, (name, (low, high)) in enumerate(
            zip(evaluation.params.areaRngLbl[1:], evaluation.params.areaRng[1:])
        )
    ]
    return Scores(stats[0], stats[1], stats[2], stats[8], sizes, classes)


def as_coco(annotations: dict[str, Any]) -> COCO:
    """A ``COCO`` object of annotations in memory."""
    coco = COCO()
    coco.dataset = annotations
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco
