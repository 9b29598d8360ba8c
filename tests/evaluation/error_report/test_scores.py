"""AP against a computation that shares nothing with pycocotools."""

import numpy as np
import pytest

from mmdet_shufflenetv2.evaluation.error_report.scores import evaluate


def iou(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def average_precision(truths, detections, threshold):
    """Area under the precision that is monotone from the right, read at 101 recalls."""
    free, hits = list(truths), []
    for one in sorted(detections, key=lambda one: -one['score']):
        here = [other for other in free if other['image_id'] == one['image_id']]
        best = max(here, key=lambda other: iou(one['bbox'], other['bbox']), default=None)
        hits.append(best is not None and iou(one['bbox'], best['bbox']) >= threshold)
        if hits[-1]:
            free.remove(best)
    right = np.cumsum(hits)
    precision, recall = right / np.arange(1, len(hits) + 1), right / len(truths)
    return np.mean([max(precision[recall >= at - 1e-12], default=0) for at in np.linspace(0, 1, 101)])


@pytest.fixture
def data():
    """Objects of two classes, and detections near most of them."""
    rng = np.random.default_rng(3)
    truths, detections = [], []
    for number in range(60):
        box = [*rng.uniform(0, 300, 2), *rng.uniform(10, 120, 2)]
        about = dict(image_id=int(rng.integers(1, 6)), category_id=int(rng.choice([2, 5])))
        truths.append(dict(about, id=number + 1, bbox=box, area=box[2] * box[3], iscrowd=0))
        if number % 4:
            detections.append(dict(about, bbox=list(np.array(box) + rng.uniform(-9, 9, 4)), score=rng.uniform(0, 1)))
    detections += [dict(image_id=1, category_id=2, bbox=[5, 5, 40, 40], score=rng.uniform(0, 1)) for _ in range(9)]
    categories = [dict(id=2, name='cat'), dict(id=5, name='dog'), dict(id=9, name='emu')]
    return dict(images=[dict(id=n) for n in range(1, 6)], annotations=truths, categories=categories), detections


def test_ap_of_each_class_equals_a_plain_loop(data):
    annotations, detections = data
    scores = evaluate(annotations, detections)
    assert [one.name for one in scores.classes] == ['cat', 'dog', 'emu']
    expected = []
    for one, number in zip(scores.classes, (2, 5)):
        truths = [t for t in annotations['annotations'] if t['category_id'] == number]
        found = [d for d in detections if d['category_id'] == number]
        aps = [average_precision(truths, found, threshold) for threshold in np.linspace(0.5, 0.95, 10)]
        assert (one.objects, one.ap50, one.ap) == (len(truths), pytest.approx(aps[0]), pytest.approx(np.mean(aps)))
        assert one.precision50.mean() == pytest.approx(aps[0])
        expected.append(np.mean(aps))
    assert scores.ap == pytest.approx(np.mean(expected))


def test_a_class_without_objects_has_no_score(data):
    emu = evaluate(*data).classes[2]
    assert (emu.objects, np.isnan(emu.ap)) == (0, True)


def test_objects_are_counted_by_coco_sizes(data):
    sizes = evaluate(*data).sizes
    areas = [truth['area'] for truth in data[0]['annotations']]
    assert [(one.name, one.objects) for one in sizes] == [
        ('small', sum(a <= 32**2 for a in areas)),
        ('medium', sum(32**2 < a <= 96**2 for a in areas)),
        ('large', sum(a > 96**2 for a in areas)),
    ]


def test_object_with_id_0_is_matched(data):
    annotations, detections = data
    expected = evaluate(annotations, detections)
    # The second object, which a detection is near.
    with_zero = dict(annotations, annotations=[dict(one, id=one['id'] - 2) for one in annotations['annotations']])
    assert evaluate(with_zero, detections)[:4] == expected[:4]
    assert with_zero['annotations'][1]['id'] == 0  # what was given stays as it is
