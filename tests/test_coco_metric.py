"""COCO's metrics in faster-coco-eval, compared with pycocotools on the same annotations and detections."""

import contextlib
import io
import json
from copy import deepcopy

import numpy as np
import pytest
from conftest import SHARED, needs_shared
from mmdet.datasets.api_wrappers import COCO
from mmdet.registry import METRICS
from pycocotools import mask
from pycocotools.cocoeval import COCOeval

from mmdet_shufflenetv2.evaluation import coco_metric
from mmdet_shufflenetv2.evaluation.coco_metric import CocoMetric, FastEvaluation

SIZE = 220


def hostile(seed, kind):
    """Annotations and detections with all that evaluations have got wrong.

    Crowds, areas that are 0 or not the box's, boxes without width, ids from 0 and in no order, ``ignore``, an empty
    image, a category without objects and one without detections, equal scores, more than 1,000 detections per image.
    """
    rng = np.random.default_rng(seed)
    images = [int(number) for number in rng.permutation(1000)[:6]]
    categories = [7, 3, 11, 5]
    annotations, found = [], []
    for image in images[:-1]:
        own = []
        for _ in range(rng.integers(1, 9)):
            x, y, (w, h) = *rng.uniform(0, 90, 2), rng.choice([0, 0.5, 4, 20, 60, 120], 2)
            own.append(
                dict(
                    id=len(annotations) + len(own),
                    image_id=image,
                    category_id=int(rng.choice(categories[:3])),
                    bbox=[x, y, w, h],
                    area=float(rng.choice([w * h, 0, 1024, 9216, 0.3 * w * h])),
                    iscrowd=int(rng.random() < 0.2),
                    ignore=int(rng.random() < 0.2),
                )
            )
        annotations += own
        for _ in range(rng.choice([0, 5, 150, 1200], p=[0.1, 0.5, 0.35, 0.05])):
            near = np.array(own[rng.integers(len(own))]['bbox']) + rng.choice([0, 1, 5]) * rng.normal(size=4)
            box = near if rng.random() < 0.5 else np.r_[rng.uniform(0, 90, 2), rng.uniform(0, 90, 2)]
            found.append(
                dict(
                    image_id=image,
                    category_id=int(rng.choice(categories[1:])),
                    bbox=[*box[:2].tolist(), *np.maximum(box[2:], 0).tolist()],
                    score=float(rng.choice([0.1, 0.5, 0.9, rng.random()])),
                )
            )
    if kind == 'segm':
        for one in (*annotations, *found):
            one['segmentation'] = as_mask(*one['bbox'])
        for one in found:
            del one['bbox']
    return dict(
        images=[dict(id=number, width=SIZE, height=SIZE, file_name='') for number in images],
        annotations=annotations,
        categories=[dict(id=number, name=str(number)) for number in categories],
    ), found


def as_mask(x, y, w, h):
    corners = [x, y, x + w + 1, y, x + w + 1, y + h + 1, x, y + h + 1]
    encoded = mask.merge(mask.frPyObjects([corners], SIZE, SIZE))
    return dict(encoded, counts=encoded['counts'].decode())


def as_coco(content):
    coco = COCO()
    coco.dataset = deepcopy(content)
    coco.createIndex()
    return coco


def evaluated(kind, annotations, found, iou_type='bbox', **params):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = as_coco(annotations)
        evaluation = kind(truth, truth.loadRes(deepcopy(found)), iou_type)
        vars(evaluation.params).update(params)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def assert_equal(annotations, found, iou_type='bbox', **params):
    """The twelve figures, and the tables of precision, recall and scores, which hold every class."""
    ours, expected = (evaluated(kind, annotations, found, iou_type, **params) for kind in (FastEvaluation, COCOeval))
    assert ours._is_fast
    assert ours.stats == pytest.approx(expected.stats, abs=1e-12)
    for table in ('precision', 'recall', 'scores'):
        assert np.abs(ours.eval[table] - expected.eval[table]).max() < 1e-12


@pytest.mark.parametrize('max_dets', [[100, 300, 1000], [1, 10, 100], [1, 50, 300]], ids=str)
@pytest.mark.parametrize('use_cats', [1, 0], ids=['by class', 'proposals'])
@pytest.mark.parametrize('iou_type', ['bbox', 'segm'])
@pytest.mark.parametrize('seed', range(2))
def test_metrics_equal_pycocotools_on_hostile_data(seed, iou_type, use_cats, max_dets):
    assert_equal(*hostile(seed, iou_type), iou_type, maxDets=max_dets, useCats=use_cats)


@needs_shared('coco_tiny')
@pytest.mark.parametrize('iou_type', ['bbox', 'segm'])
def test_metrics_equal_pycocotools_on_coco(iou_type):
    """Detections are the objects themselves, most of them moved or of another class."""
    annotations = json.loads((SHARED / 'coco_tiny' / 'annotations' / 'instances_val2017.json').read_text())
    coco, rng = as_coco(annotations), np.random.default_rng(0)
    found = []
    for truth in annotations['annotations']:
        category = truth['category_id'] if rng.random() < 0.8 else int(rng.choice(coco.getCatIds()))
        one = dict(image_id=truth['image_id'], category_id=category, score=float(rng.random()))
        found.append(
            one
            | (
                dict(segmentation=coco.annToRLE(truth))
                if iou_type == 'segm'
                else dict(bbox=(np.array(truth['bbox']) * rng.uniform(0.9, 1.1, 4)).tolist())
            )
        )
    assert_equal(annotations, found, iou_type)


def test_non_integer_ids_are_evaluated():
    annotations, found = hostile(0, 'bbox')
    for one in (*annotations['annotations'], *found):
        one['image_id'] = f'2007_{one["image_id"]:06d}'
    for image in annotations['images']:
        image['id'] = f'2007_{image["id"]:06d}'
    ours, expected = (evaluated(kind, annotations, found) for kind in (FastEvaluation, COCOeval))
    assert ours.stats == pytest.approx(expected.stats, abs=1e-12)


def metrics_of(annotations, found, folder, **settings):
    """Results of a config's metric; detections of category ``n`` have the label ``categories.index(n)``."""
    (folder / 'a.json').write_text(json.dumps(annotations))
    metric = METRICS.build(dict(type='CocoMetric', ann_file=str(folder / 'a.json'), classwise=True, **settings))
    metric.dataset_meta = dict(classes=tuple(category['name'] for category in annotations['categories']))
    labels = {category['id']: label for label, category in enumerate(annotations['categories'])}
    for image in annotations['images']:
        own = [one for one in found if one['image_id'] == image['id']]
        boxes = np.array([one['bbox'] for one in own]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        metric.results.append(
            (
                dict(width=SIZE, height=SIZE, img_id=image['id']),
                dict(
                    img_id=image['id'],
                    bboxes=boxes,
                    scores=np.array([one['score'] for one in own]),
                    labels=np.array([labels[one['category_id']] for one in own], int),
                ),
            )
        )
    return metric.evaluate(len(annotations['images']))


@pytest.mark.parametrize('metric', ['bbox', 'proposal'])
def test_a_config_gets_the_same_metrics_from_either_backend(tmp_path, metric):
    data = hostile(1, 'bbox')
    default, pycocotools = (
        metrics_of(*data, tmp_path, metric=metric, **settings) for settings in ({}, dict(backend='pycocotools'))
    )
    assert set(default) == set(pycocotools)
    assert default == pytest.approx(pycocotools, abs=1e-9, nan_ok=True)


def test_without_detections_neither_backend_has_metrics(tmp_path):
    annotations, _ = hostile(0, 'bbox')
    assert metrics_of(annotations, [], tmp_path) == metrics_of(annotations, [], tmp_path, backend='pycocotools') == {}


@pytest.mark.parametrize('backend', ['faster-coco-eval', 'pycocotools'])
def test_class_ap_does_not_depend_on_the_order_of_ids(tmp_path, backend):
    """Only the class of the highest id, which the file lists first, is found."""
    annotations = dict(
        images=[dict(id=1, width=SIZE, height=SIZE, file_name='')],
        annotations=[
            dict(id=id_, image_id=1, category_id=id_, bbox=[20 * id_, 9, 15, 15], area=225, iscrowd=0)
            for id_ in (1, 2, 3)
        ],
        categories=[dict(id=3, name='found'), dict(id=1, name='missed'), dict(id=2, name='missed too')],
    )
    found = [dict(image_id=1, category_id=3, bbox=[60, 9, 15, 15], score=0.9)]
    metrics = metrics_of(annotations, found, tmp_path, backend=backend)
    assert metrics['coco/found_precision'] == 1
    assert metrics['coco/missed_precision'] == metrics['coco/missed too_precision'] == 0


def test_falls_back_to_pycocotools_with_a_note(tmp_path, monkeypatch, capfd):
    data = hostile(1, 'bbox')
    expected = metrics_of(*data, tmp_path)
    monkeypatch.setattr(coco_metric, 'COCOeval_faster', None)
    capfd.readouterr()
    assert metrics_of(*data, tmp_path) == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert capfd.readouterr().out.count('faster-coco-eval is not installed') == 1


def test_rejects_an_unknown_backend():
    with pytest.raises(ValueError, match='expected one of faster-coco-eval, pycocotools'):
        CocoMetric(backend='mine')
