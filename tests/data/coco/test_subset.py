import json

import pytest

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.data.coco.prepare import choose_subset, subset_name


@pytest.fixture
def annotations(shapes_root):
    return json.loads((shapes_root / 'annotations' / 'instances_train2017.json').read_text())


def ids(annotations):
    return {image['id'] for image in annotations['images']}


def test_subset_has_the_number_of_images_and_all_their_boxes(annotations):
    chosen = choose_subset(annotations, 5, 0)
    assert len(ids(chosen)) == 5
    assert chosen['annotations'] == [a for a in annotations['annotations'] if a['image_id'] in ids(chosen)]
    assert chosen['categories'] == annotations['categories']


def test_subset_depends_only_on_the_seed(annotations):
    assert choose_subset(annotations, 5, 0) == choose_subset(annotations, 5, 0)
    assert len({frozenset(ids(choose_subset(annotations, 5, seed))) for seed in range(5)}) > 1
    assert subset_name('train2017', 5, 1) == 'train2017_subset5_seed1'


@pytest.mark.parametrize('count', [0, -3, 13])
def test_rejects_a_subset_larger_than_the_data(annotations, count):
    with pytest.raises(UserError, match='expected 1 to 12'):
        choose_subset(annotations, count, 0)
