import json

import numpy as np
import pytest
from mmdet.registry import DATASETS, METRICS
from mmdet.utils import register_all_modules

from mmdet_shufflenetv2 import UserError

register_all_modules()


@pytest.mark.parametrize('first_id', [0, 1])
def test_an_object_is_matched_for_every_annotation_id(shapes_root, tmp_path, first_id):
    """The detections are the ground truth."""
    content = json.loads((shapes_root / 'annotations' / 'instances_val2017.json').read_text())
    for number, annotation in enumerate(content['annotations'], start=first_id):
        annotation['id'] = number
    (tmp_path / 'a.json').write_text(json.dumps(content))
    metric = METRICS.build(dict(type='CocoMetric', ann_file=str(tmp_path / 'a.json')))
    metric.dataset_meta = dict(classes=tuple(category['name'] for category in content['categories']))
    for image in content['images']:
        own = [a for a in content['annotations'] if a['image_id'] == image['id']]
        x, y, w, h = np.array([a['bbox'] for a in own]).T
        detections = dict(
            bboxes=np.stack((x, y, x + w, y + h), axis=1),
            scores=np.ones(len(own)),
            labels=np.array([a['category_id'] - 1 for a in own]),
        )
        metric.results.append(
            (
                dict(width=image['width'], height=image['height'], img_id=image['id']),
                dict(detections, img_id=image['id']),
            )
        )
    assert metric.evaluate(len(content['images']))['coco/bbox_mAP'] == 1


def evaluate(ann_file, classes, results):
    """MMDetection's metrics, also per class, of results with category names."""
    metric = METRICS.build(dict(type='CocoMetric', ann_file=str(ann_file), classwise=True))
    metric.dataset_meta = dict(classes=classes)
    for image in json.loads(ann_file.read_text())['images']:
        own = [one for one in results if one['image_id'] == image['id']]
        x, y, w, h = np.array([one['bbox'] for one in own], dtype=float).reshape(-1, 4).T
        detections = dict(
            bboxes=np.stack((x, y, x + w, y + h), axis=1),
            scores=np.array([one['score'] for one in own]),
            labels=np.array([classes.index(one['name']) for one in own], dtype=int),
        )
        metric.results.append(
            (
                dict(width=image['width'], height=image['height'], img_id=image['id']),
                dict(detections, img_id=image['id']),
            )
        )
    return metric.evaluate(len(metric.results))


@pytest.fixture
def annotated(shapes_root, tmp_path):
    """The path of an annotation file, its content, and results that are correct for two classes and miss the others."""
    content = json.loads((shapes_root / 'annotations' / 'instances_val2017.json').read_text())
    names = {category['id']: category['name'] for category in content['categories']}
    results = [
        dict(image_id=a['image_id'], bbox=a['bbox'], name=names[a['category_id']], score=0.9)
        for a in content['annotations']
        if names[a['category_id']] in ('square', 'star')
    ]
    return tmp_path / 'a.json', content, results


ORDERS = {
    'unchanged': lambda categories: categories,
    'reversed': lambda categories: categories[::-1],
    'by name': lambda categories: sorted(categories, key=lambda category: category['name']),
}


@pytest.mark.parametrize('file_order', ORDERS)
@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('first_id', [0, 7])
def test_labels_do_not_depend_on_the_order_of_categories_in_the_file_and_in_the_config(
    annotated, file_order, order, first_id
):
    path, content, results = annotated
    categories = content['categories']
    classes = tuple(category['name'] for category in ORDERS[order](categories))
    for entry, key in [(c, 'id') for c in categories] + [(a, 'category_id') for a in content['annotations']]:
        entry[key] += first_id - 1
    path.write_text(json.dumps(content | dict(categories=ORDERS[file_order](categories))))
    dataset = DATASETS.build(
        dict(
            type='CocoDataset',
            ann_file=str(path),
            pipeline=[],
            metainfo=dict(classes=classes),
            data_prefix=dict(img=''),
        )
    )
    names = {category['id']: category['name'] for category in categories}
    assert [
        classes[instance['bbox_label']]
        for index in range(len(dataset))
        for instance in dataset.get_data_info(index)['instances']
    ] == [
        names[a['category_id']]
        for image in sorted(content['images'], key=lambda image: image['id'])
        for a in content['annotations']
        if a['image_id'] == image['id']
    ]
    metrics = evaluate(path, classes, results)
    assert {key: value for key, value in metrics.items() if key.endswith('_precision')} == {
        f'coco/{name}_precision': float(name in ('square', 'star')) for name in names.values()
    }


def test_classes_that_are_not_in_the_file_are_not_evaluated(annotated):
    path, content, results = annotated
    kept = {category['id']: category['name'] for category in content['categories'] if category['name'] != 'square'}
    content['categories'] = [category for category in content['categories'] if category['id'] in kept]
    content['annotations'] = [a for a in content['annotations'] if a['category_id'] in kept]
    path.write_text(json.dumps(content))
    metrics = evaluate(path, ('comet', 'circle', 'square', 'triangle', 'star', 'cross'), results)
    assert {key for key in metrics if key.endswith('_precision')} == {
        f'coco/{name}_precision' for name in kept.values()
    }
    assert metrics['coco/star_precision'] == 1
    assert metrics['coco/bbox_mAP'] == pytest.approx(
        1 / len({a['category_id'] for a in content['annotations']}), abs=1e-3
    )


def test_duplicate_category_names_are_rejected(annotated):
    path, content, _ = annotated
    content['categories'].append(dict(id=99, name='star'))
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="category.*'star'"):
        evaluate(path, ('star',), [])
