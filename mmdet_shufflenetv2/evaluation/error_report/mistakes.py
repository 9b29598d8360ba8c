"""Find false positives, missed objects and confusions at one score threshold.

pycocotools matches the detections above the threshold to ground truth objects at IoU 0.5, class by class as for AP50.
The remaining detections and objects are matched again across classes. These matches are confusions.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask
from pycocotools.cocoeval import COCOeval

from .scores import as_coco

__all__ = ['FalsePositive', 'Mistakes', 'find_mistakes']

_IOU = 0.5
# Below this IoU a box is unrelated to an object.
_NEAR = 0.1


class FalsePositive(NamedTuple):
    """A detection without an object of its class."""

    detection: dict[str, Any]
    #: ``confused with`` or ``also found as``, to be followed by a class; ``duplicate``, ``badly placed``,
    #: ``nothing there``.
    kind: str
    #: The related object; None if there is none.
    truth: dict[str, Any] | None


class Mistakes(NamedTuple):
    """All mistakes, the worst first."""

    #: Sorted by score.
    false_positives: list[FalsePositive]
    #: Missed objects, the largest first.
    misses: list[dict[str, Any]]
    #: Counts ``(K + 1, K + 1)``: one row per true class, one column per detected class. The last row is background, the
    #: last column is missed.
    confusion: np.ndarray
    #: Names of the K classes, by row.
    classes: list[str]


def find_mistakes(annotations: dict[str, Any], results: Sequence[dict[str, Any]], score_thr: float) -> Mistakes:
    """Match detections with a score of at least ``score_thr`` to objects. Both are as read by :mod:`.inputs`."""
    truths = annotations['annotations']
    found = [one for one in results if one['score'] >= score_thr]
    right, ignored = _match(annotations, truths, found, by_class=True)
    taken = set(right.values())
    spare_truths = [one for index, one in enumerate(truths) if index not in taken and not one['iscrowd']]
    spare_found = [one for index, one in enumerate(found) if index not in right and index not in ignored]
    wrong, _ = _match(annotations, spare_truths, spare_found, by_class=False)

    categories = sorted(annotations['categories'], key=lambda category: category['id'])
    rows = {category['id']: row for row, category in enumerate(categories)}
    confusion = np.zeros((len(rows) + 1, len(rows) + 1), int)
    for index in right:
        row = rows[found[index]['category_id']]
        confusion[row, row] += 1
    of_image = as_coco(annotations).imgToAnns
    false_positives = []
    for index, detection in enumerate(spare_found):
        column = rows[detection['category_id']]
        if index in wrong:
            truth = spare_truths[wrong[index]]
            confusion[rows[truth['category_id']], column] += 1
            false_positives.append(FalsePositive(detection, 'confused with', truth))
        else:
            confusion[-1, column] += 1
            false_positives.append(FalsePositive(detection, *_nearest(detection, of_image[detection['image_id']])))
    taken = set(wrong.values())
    misses = [truth for index, truth in enumerate(spare_truths) if index not in taken]
    for truth in misses:
        confusion[rows[truth['category_id']], -1] += 1
    return Mistakes(
        sorted(false_positives, key=lambda one: -one.detection['score']),
        sorted(misses, key=lambda truth: -truth['area']),
        confusion,
        [category['name'] for category in categories],
    )


def _match(
    annotations: dict[str, Any], truths: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]], by_class: bool
) -> tuple[dict[int, int], set[int]]:
    """Match with pycocotools: index of a detection -> index of its object, and the detections matched to crowds."""
    # In pycocotools, an id of 0 means "no match", so both sides get new ids from 1.
    numbered = [
        [
            dict(
                image_id=one['image_id'],
                category_id=one['category_id'],
                bbox=one['bbox'],
                area=one['bbox'][2] * one['bbox'][3],
                iscrowd=one.get('iscrowd', 0),
                score=one.get('score', 1),
                id=number,
            )
            for number, one in enumerate(side, 1)
        ]
        for side in (truths, found)
    ]
    evaluation = COCOeval(
        *(
            as_coco(dict(images=annotations['images'], categories=annotations['categories'], annotations=side))
            for side in numbered
        ),
        'bbox',
    )
    evaluation.params.iouThrs = np.array([_IOU])
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ['all']
    evaluation.params.maxDets = [max(len(found), 1)]
    evaluation.params.useCats = by_class
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
    crowds = {one['id'] for one in numbered[0] if one['iscrowd']}
    matched, excused = {}, set()
    for image in filter(None, evaluation.evalImgs):
        for number, match, ignore in zip(image['dtIds'], image['dtMatches'][0], image['dtIgnore'][0]):
            if ignore or match in crowds:
                excused.add(number - 1)
            elif match:
                matched[number - 1] = int(match) - 1
    return matched, excused


def _nearest(detection: dict[str, Any], truths: Sequence[dict[str, Any]]) -> tuple[str, dict[str, Any] | None]:
    """The kind of a false positive without a match, and its related object."""
    objects = [one for one in truths if not one['iscrowd']]
    if not objects:
        return 'nothing there', None
    overlaps = mask.iou([detection['bbox']], [one['bbox'] for one in objects], [0] * len(objects))[0]
    same = np.array([one['category_id'] == detection['category_id'] for one in objects])
    nearest, other = (int(np.where(among, overlaps, -1).argmax()) for among in (same, ~same))
    if same[nearest] and overlaps[nearest] >= _NEAR:
        return 'duplicate' if overlaps[nearest] >= _IOU else 'badly placed', objects[nearest]
    if not same[other] and overlaps[other] >= _IOU:
        return 'also found as', objects[other]
    return 'nothing there', None
