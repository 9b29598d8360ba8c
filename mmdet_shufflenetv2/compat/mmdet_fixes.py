"""Fixes of MMDetection 3.3 and pycocotools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..utils.errors import UserError
from .patches import replace
from .private import coco_of

__all__ = ['apply_fixes']


def apply_fixes() -> None:
    """Apply the fixes in the register of patches, unless the installed release already has them.

    In files with annotation ids from 0, such as Roboflow's, the first object gets another id. Label ``i`` is the class
    ``classes[i]`` in every dataset and every evaluation, regardless of the order of categories in a file. Detections
    of classes that are not in the file are not evaluated.
    """
    from mmdet.datasets.api_wrappers import COCO  # mmdet can only be imported after the finder is installed
    from mmdet.evaluation.metrics import CocoMetric
    from mmdet.models.dense_heads import SSDHead

    if not hasattr(SSDHead, 'loss_cls'):
        replace('mmdet.models.SSDHead.loss_cls', SSDHead, None)
    if 'createIndex' not in vars(COCO):
        replace('mmdet.datasets.api_wrappers.COCO.createIndex', COCO, _create_index)
    if COCO.get_cat_ids is not _category_ids:
        _ORIGINALS.update(
            get_cat_ids=replace('mmdet.datasets.api_wrappers.COCO.get_cat_ids', COCO, _category_ids),
            results2json=replace('mmdet.evaluation.CocoMetric.results2json', CocoMetric, _results2json),
        )


#: MMDetection's methods that the functions below wrap.
_ORIGINALS: dict[str, Any] = {}


def _create_index(coco: Any) -> None:
    from pycocotools.coco import COCO

    annotations = coco.dataset.get('annotations', [])
    if any(annotation['id'] == 0 for annotation in annotations):
        unused = max(annotation['id'] for annotation in annotations) + 1
        coco.dataset = dict(
            coco.dataset, annotations=[dict(annotation, id=annotation['id'] or unused) for annotation in annotations]
        )
    COCO.createIndex(coco)


def _category_ids(
    coco: Any, cat_names: Sequence[str] = (), sup_names: Sequence[str] = (), cat_ids: Sequence[int] = ()
) -> list[int]:
    """Return the category id of each name, in the order of the names; missing categories get unique negative ids.

    Raises:
        UserError: If the file has two categories with one of the names.
    """
    if not cat_names or sup_names or cat_ids:
        return _ORIGINALS['get_cat_ids'](coco, list(cat_names), list(sup_names), list(cat_ids))
    names = [cat_names] if isinstance(cat_names, str) else list(cat_names)
    categories = coco.dataset.get('categories', [])
    by_name = {category['name']: category['id'] for category in categories}
    if duplicates := [
        name
        for name, count in Counter(category['name'] for category in categories).items()
        if count > 1 and name in names
    ]:
        raise UserError(f'Duplicate category name in the annotation file: {duplicates[0]!r}. Rename one of them.')
    smallest = min([0, *by_name.values()])
    return [by_name.get(name, smallest - index) for index, name in enumerate(names, start=1)]


def _results2json(metric: Any, results: Sequence[dict[str, Any]], outfile_prefix: str) -> dict[str, str]:
    """MMDetection's method, with category ids by class name and without detections of classes not in the file."""
    by_label = coco_of(metric).get_cat_ids(cat_names=metric.dataset_meta['classes'])
    known = [label for label, number in enumerate(by_label) if number in coco_of(metric).cats]
    if len(known) < len(by_label):
        results = [_select(result, np.isin(result['labels'], known)) for result in results]
    metric.cat_ids = by_label
    try:
        return _ORIGINALS['results2json'](metric, results, outfile_prefix)
    finally:
        # pycocotools sorts the category ids, and MMDetection reads the AP per class in the order of this list.
        metric.cat_ids = sorted(by_label[label] for label in known)


def _select(result: dict[str, Any], keep: NDArray[np.bool_]) -> dict[str, Any]:
    """The detections of an image where the mask ``keep`` ``(N,)`` is True."""
    return {
        key: value
        if key == 'img_id'
        else [one for one, kept in zip(value, keep) if kept]
        if isinstance(value, list)
        else value[keep]
        for key, value in result.items()
    }
