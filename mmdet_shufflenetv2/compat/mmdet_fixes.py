"""What MMDetection 3.3 and pycocotools break for a light detector, and for data that came from elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..utils.errors import UserError
from .patches import replace
from .private import coco_of

__all__ = ['apply_fixes']


def apply_fixes() -> None:
    """Fix what the register of patches says is broken; where a later release has fixed it, nothing is changed.

    Files that count annotations from 0, as Roboflow's do, keep their first object: it gets another id. Label ``i`` is
    the class ``classes[i]`` in every data set and in every evaluation, whatever the order of categories in a file, and
    detections of classes that the file lacks are not evaluated.
    """
    from mmdet.datasets.api_wrappers import COCO  # mmdet cannot be imported before the finder is there
    from mmdet.evaluation.metrics import CocoMetric
    from mmdet.models.dense_heads import SSDHead
    if not hasattr(SSDHead, 'loss_cls'):
        replace('mmdet.models.SSDHead.loss_cls', SSDHead, None)
    if 'createIndex' not in vars(COCO):
        replace('mmdet.datasets.api_wrappers.COCO.createIndex', COCO, _create_index)
    if COCO.get_cat_ids is not _category_ids:
        _OWN.update(
            get_cat_ids=replace('mmdet.datasets.api_wrappers.COCO.get_cat_ids', COCO, _category_ids),
            results2json=replace('mmdet.evaluation.CocoMetric.results2json', CocoMetric, _results2json))


#: MMDetection's methods that those below stand in front of.
_OWN: dict[str, Any] = {}


def _create_index(coco: Any) -> None:
    from pycocotools.coco import COCO
    annotations = coco.dataset.get('annotations', [])
    if any(annotation['id'] == 0 for annotation in annotations):
        unused = max(annotation['id'] for annotation in annotations) + 1
        coco.dataset = dict(coco.dataset, annotations=[
            dict(annotation, id=annotation['id'] or unused) for annotation in annotations])
    COCO.createIndex(coco)


def _category_ids(coco: Any, cat_names: Sequence[str] = (), sup_names: Sequence[str] = (),
                  cat_ids: Sequence[int] = ()) -> list[int]:
    """The id of each name, in the names' order; a name that the file lacks gets a negative one of its own.

    Raises:
        UserError: If the file has two categories of one of the names.
    """
    if not cat_names or sup_names or cat_ids:
        return _OWN['get_cat_ids'](coco, list(cat_names), list(sup_names), list(cat_ids))
    names = [cat_names] if isinstance(cat_names, str) else list(cat_names)
    categories = coco.dataset.get('categories', [])
    by_name = {category['name']: category['id'] for category in categories}
    if twice := [name for name, count in Counter(category['name'] for category in categories).items()
                 if count > 1 and name in names]:
        raise UserError(f'The annotation file has two categories of the name {twice[0]!r}. Rename one of them.')
    below = min([0, *by_name.values()])
    return [by_name.get(name, below - place) for place, name in enumerate(names, start=1)]


def _results2json(metric: Any, results: Sequence[dict[str, Any]], outfile_prefix: str) -> dict[str, str]:
    """MMDetection's method, with ids by the classes' names and without detections of classes that the file lacks."""
    by_label = coco_of(metric).get_cat_ids(cat_names=metric.dataset_meta['classes'])
    known = [label for label, number in enumerate(by_label) if number in coco_of(metric).cats]
    if len(known) < len(by_label):
        results = [_only(result, np.isin(result['labels'], known)) for result in results]
    metric.cat_ids = by_label
    try:
        return _OWN['results2json'](metric, results, outfile_prefix)
    finally:
        # pycocotools sorts the ids that it evaluates, and MMDetection reads the AP of each class along these.
        metric.cat_ids = sorted(by_label[label] for label in known)


def _only(result: dict[str, Any], keep: np.ndarray) -> dict[str, Any]:
    """An image's detections at the places where ``keep``, ``(N,)`` of bool, says so."""
    return {key: value if key == 'img_id' else
            [one for one, kept in zip(value, keep) if kept] if isinstance(value, list) else value[keep]
            for key, value in result.items()}
