import copy
import json
import random
import shutil

import pytest
from mmdet.datasets import CocoDataset
from mutator import mutate
from own_data_layouts import huge_png

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.data.annotation_file import read_annotations
from mmdet_shufflenetv2.data.audit import audit, leaves_folder, left_out
from mmdet_shufflenetv2.data.problems import EXAMPLES, FATAL, WARNINGS

ANN_FILE = 'annotations/instances_train2017.json'


@pytest.fixture
def root(shapes_root, tmp_path):
    return shutil.copytree(shapes_root, tmp_path / 'data')


@pytest.fixture
def content(root):
    return json.loads((root / ANN_FILE).read_text())


def check(content, root):
    return audit(content, root / ANN_FILE, root / 'train2017')


def first_image(root):
    return root / 'train2017' / '000000000001.jpg'


def test_valid_data_set_has_no_problem(content, root):
    report = check(content, root)
    assert report.found == {}
    assert report.counts == dict(images=12, annotations=len(content['annotations']), categories=5)
    assert 'OK to train' in str(report)


@pytest.mark.parametrize(
    ('damage', 'problem'),
    [
        (lambda c, r: c['annotations'].append(None), 'entry'),
        (lambda c, r: c['images'][0].pop('width'), 'field_missing'),
        (lambda c, r: c['annotations'][0].pop('bbox'), 'field_missing'),
        (lambda c, r: c['annotations'][0].pop('area'), 'field_missing'),
        (lambda c, r: c['annotations'][0].update(category_id='1'), 'field_type'),
        (lambda c, r: c['annotations'][0].update(area='much'), 'field_type'),
        (lambda c, r: c['annotations'][0].update(bbox=[1, 2, '3', 4]), 'field_type'),
        (lambda c, r: c['annotations'][0].update(iscrowd=-1), 'field_type'),
        (lambda c, r: c['images'][0].update(width=10**400), 'field_type'),
        (lambda c, r: c['images'][0].update(height=-5), 'field_type'),
        (lambda c, r: c['annotations'].clear(), 'no_annotations'),
        (lambda c, r: c['images'].append(dict(c['images'][0])), 'duplicate_image_id'),
        (lambda c, r: c['annotations'].append(dict(c['annotations'][0])), 'duplicate_annotation_id'),
        (lambda c, r: c['categories'].append(dict(id=1, name='moon')), 'duplicate_category_id'),
        (lambda c, r: c['categories'].append(dict(id=9, name='star')), 'duplicate_category_name'),
        (lambda c, r: c['annotations'][0].update(image_id=99), 'unknown_image'),
        (lambda c, r: c['annotations'][0].update(category_id=99), 'unknown_category'),
        (lambda c, r: c['annotations'][0].update(bbox=[1, 2, 3]), 'box_length'),
        (lambda c, r: c['annotations'][0].update(bbox={'x': 1}), 'box_length'),
        (lambda c, r: c['annotations'][0].update(bbox=[1, 2, float('nan'), 4]), 'box_not_finite'),
        (lambda c, r: c['annotations'][0].update(bbox=[1, 2, 10**400, 4]), 'box_not_finite'),
        (lambda c, r: c['images'][0].update(file_name='../../etc/passwd'), 'leaves_folder'),
        (lambda c, r: first_image(r).unlink(), 'image_missing'),
        (lambda c, r: first_image(r).write_bytes(first_image(r).read_bytes()[:700]), 'image_broken'),
        (lambda c, r: huge_png(first_image(r)), 'image_too_large'),
        (lambda c, r: c['images'][0].update(width=c['images'][0]['width'] + 1), 'image_size'),
        (lambda c, r: c['images'].append(dict(c['images'][0], id=77)), 'duplicate_file'),
        (lambda c, r: c['annotations'][0].update(bbox=[5, 5, 0, 9]), 'box_flat'),
        (lambda c, r: c['annotations'][0].update(bbox=[5, 5, 9, -9]), 'box_flat'),
        (lambda c, r: c['annotations'][0].update(bbox=[5, 5, 0.5, 9]), 'box_tiny'),
        (lambda c, r: c['annotations'][0].update(bbox=[500, 5, 9, 9]), 'box_beside'),
        (lambda c, r: c['annotations'][0].update(bbox=[-5, 5, 9, 9]), 'box_outside'),
        (lambda c, r: c['annotations'][0].update(segmentation=[[1, 2, 3, [4]]]), 'segmentation_nested'),
        (lambda c, r: c['annotations'][0].update(segmentation=[[0], [[[]]]]), 'segmentation_nested'),
        (lambda c, r: c['annotations'][0].update(area=0), 'area'),
        (lambda c, r: c['annotations'][0].update(area=-3), 'area'),
        (lambda c, r: c['annotations'][0].update(area=None), 'field_type'),
        (lambda c, r: c['annotations'][0].update(area=float('nan')), 'field_type'),
        (lambda c, r: c['annotations'][0].update(iscrowd=1), 'crowd'),
        (lambda c, r: c['annotations'][0].update(iscrowd=True), 'crowd'),
        (lambda c, r: c['annotations'][0].update(iscrowd='0'), 'field_type'),
        (lambda c, r: c['annotations'][0].update(ignore=1), 'ignored'),
        (lambda c, r: c['annotations'][0].update(ignore=True, iscrowd=1), 'ignored'),
        (lambda c, r: c['categories'].append(dict(id=9, name='moon')), 'unused_category'),
        (lambda c, r: c.update(annotations=[a for a in c['annotations'] if a['image_id'] != 3]), 'empty_image'),
    ],
)
def test_each_problem_is_found_once_and_is_the_only_one(content, root, damage, problem):
    damage(content, root)
    report = check(content, root)
    # An image or a category that is listed twice leaves one without annotation.
    assert set(report.found) - {problem} <= {'empty_image', 'duplicate_file', 'unused_category'}
    assert report.found[problem] == 1
    assert report.fatal == [name for name in (problem,) if name in FATAL]
    assert (FATAL | WARNINGS)[problem] in str(report)


@pytest.mark.parametrize(
    ('change', 'problem', 'words'),
    [
        (lambda a: a.update(bbox=[*a['bbox'][:2], 0, 0]), 'no_box', 'none of'),
        (lambda a: a.update(bbox=[-50, 0, 20, 20]), 'no_box', 'none of'),
        (lambda a: a.update(area=0), 'no_box', 'none of'),
        (lambda a: a.update(iscrowd=1), 'no_box', 'marked as a crowd, iscrowd 1'),
        (lambda a: a.update(ignore=1), 'no_box', 'marked to be ignored, ignore 1'),
        (
            lambda a: a.update(
                bbox=[a['bbox'][0], a['bbox'][1], a['bbox'][0] + a['bbox'][2], a['bbox'][1] + a['bbox'][3]]
            ),
            'box_corners',
            'bbox [',
        ),
    ],
)
def test_useless_boxes_are_fatal_if_all_are(content, root, change, problem, words):
    for annotation in content['annotations']:
        change(annotation)
    report = check(content, root)
    assert report.fatal == [problem]
    assert words in report.examples[problem][0]


STRANGE = [
    dict(area=0),
    dict(area=-1),
    dict(area=0.4),
    dict(iscrowd=1),
    dict(iscrowd=True),
    dict(iscrowd=0),
    dict(ignore=0),
    dict(iscrowd=False),
    dict(ignore=1),
    dict(ignore=True),
    dict(ignore=None),
    dict(ignore=1, iscrowd=1, area=0),
    *(
        dict(bbox=box)
        for box in (
            [5, 5, 0, 9],
            [5, 5, 9, 1],
            [5, 5, 0.99, 9],
            [5, 5, -4, 9],
            [500, 5, 9, 9],
            [-9, 5, 9, 9],
            [-8, 5, 9, 9],
            [5, -20, 9, 9],
        )
    ),
]


def test_box_counts_if_mmdetection_trains_on_it(content, root, tmp_path):
    for annotation, change in zip(content['annotations'], STRANGE, strict=False):
        annotation.update(change)
    assert len(content['annotations']) > len(STRANGE) + 3
    path = tmp_path / 'strange.json'
    path.write_text(json.dumps(content))
    names = tuple(category['name'] for category in content['categories'])
    read = CocoDataset(ann_file=str(path), data_prefix=dict(img=''), metainfo=dict(classes=names), pipeline=[])
    kept = [instance for place in range(len(read)) for instance in read.get_data_info(place)['instances']]
    learned = sum(not instance['ignore_flag'] for instance in kept)
    sizes = {image['id']: (image['width'], image['height']) for image in content['images']}
    assert check(content, root).learned == learned < len(content['annotations']) - 10
    assert sum(left_out(a, sizes[a['image_id']]) is None for a in content['annotations']) == learned
    assert f'({learned} used for training)' in str(check(content, root))


def test_boxes_reaching_outside_are_not_taken_as_corners(content, root):
    sizes = {image['id']: (image['width'], image['height']) for image in content['images']}
    for annotation in content['annotations']:
        width, height = sizes[annotation['image_id']]
        annotation['bbox'] = [4, 4, width, height - 1]
    assert check(content, root).fatal == []


def test_problems_are_counted_and_the_first_are_named(content, root):
    for annotation in content['annotations']:
        annotation['bbox'] = [1, 2]
    content['images'][2]['file_name'] = 'gone.jpg'
    report = check(content, root).as_json()
    assert [problem['problem'] for problem in report['problems']] == ['box_length', 'image_missing']
    assert report['problems'][0]['count'] == len(content['annotations'])
    assert len(report['problems'][0]['examples']) == EXAMPLES
    assert report['fatal'] is True
    json.dumps(report)


@pytest.mark.parametrize(
    ('name', 'leaves'),
    [
        ('a.jpg', False),
        ('train/a.jpg', False),
        ('a..b.jpg', False),
        ('../a.jpg', True),
        ('x/../../a.jpg', True),
        ('/etc/passwd', True),
        ('C:\\a.jpg', True),
        ('..\\a.jpg', True),
        ('a\0.jpg', True),
    ],
)
def test_recognizes_names_outside_the_folder(name, leaves):
    assert leaves_folder(name) == leaves


@pytest.mark.parametrize('seed', range(4))
def test_mutated_annotations_give_a_report_or_one_line(content, root, tmp_path, seed):
    rng = random.Random(seed)
    reported = 0
    for _ in range(50):
        mutated = copy.deepcopy(content)
        mutate(mutated, rng)
        path = tmp_path / 'mutated.json'
        text = json.dumps(mutated)
        path.write_text(text[: rng.randrange(len(text))] if rng.random() < 0.1 else text)
        said, report = outcome(path, root)
        assert len(said) <= 1
        if report is not None:
            str(report).encode()  # nothing in it that a terminal could not show
            json.dumps(report.as_json())
            reported += bool(report.found)
    assert reported > 25


def outcome(path, root):
    """The lines of the error, or the report."""
    try:
        return [], audit(read_annotations(path), path, root / 'train2017')
    except UserError as error:
        return str(error).splitlines(), None
