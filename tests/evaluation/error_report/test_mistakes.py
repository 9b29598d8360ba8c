import time

import numpy as np
import pytest

from mmdet_shufflenetv2.evaluation.error_report import mistakes as mistakes_module
from mmdet_shufflenetv2.evaluation.error_report.mistakes import find_mistakes


def truth(number, category, box, crowd=0):
    return dict(id=number, image_id=1, category_id=category, bbox=box, area=box[2] * box[3], iscrowd=crowd)


def found(category, box, score=0.9):
    return dict(image_id=1, category_id=category, bbox=box, score=score)


def mistakes(truths, detections, score_thr=0.3):
    categories = [dict(id=1, name='cat'), dict(id=7, name='dog')]
    return find_mistakes(dict(images=[dict(id=1)], categories=categories, annotations=truths), detections, score_thr)


# Rows: cat, dog, nothing. Columns: cat, dog, missed. IoUs of boxes 10 wide, moved by 1 and 5: 0.82, 0.33.
BOX, NEAR, FAR = [0, 0, 10, 10], [1, 0, 10, 10], [5, 0, 10, 10]


@pytest.mark.parametrize(
    ('truths', 'detections', 'kinds', 'misses', 'confusion'),
    [
        ([truth(1, 1, BOX)], [found(1, NEAR)], [], 0, [[1, 0, 0], [0, 0, 0], [0, 0, 0]]),
        ([truth(0, 1, BOX)], [found(1, NEAR)], [], 0, [[1, 0, 0], [0, 0, 0], [0, 0, 0]]),  # pycocotools' "no match"
        ([truth(1, 1, BOX)], [found(1, FAR)], ['badly placed'], 1, [[0, 0, 1], [0, 0, 0], [1, 0, 0]]),
        ([truth(1, 1, BOX)], [found(7, NEAR)], ['confused with'], 0, [[0, 1, 0], [0, 0, 0], [0, 0, 0]]),
        ([truth(1, 1, BOX)], [found(1, BOX), found(1, NEAR, 0.8)], ['duplicate'], 0, [[1, 0, 0], [0, 0, 0], [1, 0, 0]]),
        # The right class is matched first, whatever scores more.
        (
            [truth(1, 1, BOX)],
            [found(1, NEAR, 0.5), found(7, BOX)],
            ['also found as'],
            0,
            [[1, 0, 0], [0, 0, 0], [0, 1, 0]],
        ),
        ([truth(1, 1, BOX)], [found(7, [50, 50, 9, 9])], ['nothing there'], 1, [[0, 0, 1], [0, 0, 0], [0, 1, 0]]),
        ([], [found(7, BOX)], ['nothing there'], 0, [[0, 0, 0], [0, 0, 0], [0, 1, 0]]),
        ([truth(1, 1, BOX)], [found(1, BOX, 0.2)], [], 1, [[0, 0, 1], [0, 0, 0], [0, 0, 0]]),  # below the threshold
        ([truth(1, 1, BOX, crowd=1)], [found(1, BOX), found(1, NEAR)], [], 0, np.zeros((3, 3))),  # a crowd excuses all
    ],
)
def test_each_kind_of_mistake(truths, detections, kinds, misses, confusion):
    result = mistakes(truths, detections)
    assert [one.kind for one in result.false_positives] == kinds
    assert len(result.misses) == misses
    np.testing.assert_array_equal(result.confusion, confusion)
    assert result.classes == ['cat', 'dog']


def test_worst_mistakes_come_first():
    truths = [truth(1, 1, [0, 0, 5, 5]), truth(2, 1, [100, 100, 50, 50])]
    result = mistakes(truths, [found(7, [50, 0, 9, 9], 0.4), found(7, [50, 50, 9, 9], 0.8)])
    assert [one.detection['score'] for one in result.false_positives] == [0.8, 0.4]
    assert [one['id'] for one in result.misses] == [2, 1]


@pytest.mark.parametrize('by_class', [True, False])
def test_time_is_linear_in_the_number_of_objects(monkeypatch, by_class):
    count = 20_000
    # All are matched in one of the two passes; pycocotools, which takes time of its own, is left out.
    monkeypatch.setattr(
        mistakes_module,
        '_match',
        lambda *_, **given: ({place: place for place in range(count)} if given['by_class'] == by_class else {}, set()),
    )
    truths, detections = [truth(1, 1, BOX)] * count, [found(1, BOX)] * count
    start = time.process_time()
    assert mistakes(truths, detections).misses == []
    assert time.process_time() - start < 1  # 3 s and more where each object goes through all matches
