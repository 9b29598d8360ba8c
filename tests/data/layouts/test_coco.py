import json
import shutil
from pathlib import Path

import pytest

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.data.layouts.find import read_user_dataset
from mmdet_shufflenetv2.data.prepared import prepare_user_dataset
from mmdet_shufflenetv2.training.check_dataset import check_dataset

TRAIN = 'annotations/instances_train2017.json'


def edit(root, change):
    content = json.loads((root / TRAIN).read_text())
    change(content)
    (root / TRAIN).write_text(json.dumps(content))


def test_coco_file_takes_precedence_over_subsets_and_other_tasks(layout):
    root = layout('coco')
    for name in ('instances_train2017_subset5_seed0', 'captions_train2017', 'person_keypoints_train2017'):
        shutil.copy(root / TRAIN, root / 'annotations' / f'{name}.json')
    assert read_user_dataset(root).splits['train'].source == root / TRAIN


def test_clutter_next_to_annotations_is_skipped(layout):
    root = layout('coco')
    (root / TRAIN).rename(root / 'annotations' / 'train.json')
    (root / 'train2017').rename(root / 'train')
    expected = read_user_dataset(root)
    for place in ('annotations/._train.json', '._train.json', '__MACOSX/._train.json'):
        (root / place).parent.mkdir(exist_ok=True)
        (root / place).write_bytes(b'\0\5\x16\7')
    assert read_user_dataset(root) == expected


def test_test_split_without_annotations_is_ignored(layout):
    root = layout('coco')
    edit(root, lambda content: None)
    content = json.loads((root / TRAIN).read_text())
    (root / 'annotations' / 'instances_test.json').write_text(json.dumps(dict(content, annotations=[])))
    assert list(read_user_dataset(root).splits) == ['train', 'val']


def test_roboflow_supercategory_is_dropped(layout):
    data = read_user_dataset(layout('roboflow_coco'))
    assert 'shape' not in data.classes
    assert "'shape', which is only the parent of the others" in data.notes[0]


def test_used_class_zero_is_kept(layout):
    root = layout('coco')

    def change(content):
        for category in content['categories']:
            category['id'] -= 1
        for annotation in content['annotations']:
            annotation['category_id'] -= 1

    edit(root, change)
    assert read_user_dataset(root).classes[0] == 'circle'


@pytest.mark.parametrize(
    ('names', 'splits'),
    [
        (('trainval', 'test'), ['train', 'test']),
        (('trainval', 'train', 'val', 'test'), ['train', 'val', 'test']),
        (('instances_trainval2017', 'instances_test2017'), ['train', 'test']),
        (('training', 'validation', 'testing'), ['train', 'val', 'test']),
        (('fish_train', 'fish_valid'), ['train', 'val']),
        (('train_coco', 'dev_coco'), ['train', 'val']),
        (('TrainSet', 'ValSet'), ['train', 'val']),
        (('instances_Train', 'instances_minival2014'), ['train', 'val']),
    ],
)
@pytest.mark.parametrize('folder', ['annotations', '.'])
def test_file_names_determine_splits(layout, names, splits, folder):
    root = layout('coco')
    content = (root / TRAIN).read_text()
    shutil.rmtree(root / 'annotations')
    (root / 'train2017').rename(root / 'images')
    (root / folder).mkdir(exist_ok=True)
    for name in names:
        (root / folder / f'{name}.json').write_text(content)
    data = read_user_dataset(root)
    assert list(data.splits) == splits
    if 'train' in names:
        assert data.splits['train'].source.stem == 'train'


PARTS = ['_part1.json', '_part2.json']


@pytest.mark.parametrize(
    ('names', 'joined'),
    [
        (PARTS, True),
        (['.part_10.json', '.part_2.json'], True),
        (['-00000-of-00002.json', '-00001-of-00002.json'], True),
        (['_1of2.json', '_2of2.json'], True),
        (['_shard0.json', '_shard1.json'], True),
        (['_1.json', '_2.json'], False),
        (['_2014.json', '_2017.json'], False),
        (['_a.json', '_part1.json'], False),
        (['_part1.json', '_part01.json'], False),
    ],
)
def test_file_names_determine_parts_of_a_split(layout, names, joined):
    root = layout('coco_parts')
    for old, new in zip(PARTS, names):
        (root / 'annotations' / f'instances_train{old}').rename(root / 'annotations' / f'train{new}')
    if not joined:
        with pytest.raises(UserError, match='2 annotation files match the train split'):
            read_user_dataset(root)
        return
    data = read_user_dataset(root)
    assert len(data.splits['train'].annotations['images']) == 12
    assert any('train: merged from ' in note for note in data.notes)


def part(root, number):
    path = root / 'annotations' / f'instances_train_part{number}.json'
    return path, json.loads(path.read_text())


def test_parts_may_have_separate_image_folders(layout):
    root = layout('coco_parts')
    expected = read_user_dataset(root).splits['train'].annotations
    for number in (1, 2):
        (root / f'train_part{number}').mkdir()
        for image in part(root, number)[1]['images']:
            (root / 'train' / image['file_name']).rename(root / f'train_part{number}' / image['file_name'])
    split = read_user_dataset(root).splits['train']
    assert split.annotations['annotations'] == expected['annotations']
    assert all((split.images / image['file_name']).is_file() for image in split.annotations['images'])


def test_an_image_in_two_parts_has_the_annotations_of_both(layout):
    root = layout('coco_parts')
    (path, content), (_, other) = part(root, 1), part(root, 2)
    content['images'].append(dict(other['images'][0], id=1000))
    content['annotations'].append(dict(content['annotations'][0], id=1000, image_id=1000, bbox=[1, 2, 3, 4]))
    path.write_text(json.dumps(content))
    annotations = read_user_dataset(root).splits['train'].annotations
    (shared,) = (
        image['id'] for image in annotations['images'] if image['file_name'] == other['images'][0]['file_name']
    )
    boxes = [one['bbox'] for one in annotations['annotations'] if one['image_id'] == shared]
    expected = [one['bbox'] for one in other['annotations'] if one['image_id'] == other['images'][0]['id']]
    assert sorted(boxes) == sorted([*expected, [1, 2, 3, 4]])


def test_problems_in_parts_are_found_and_training_reads_all_parts(layout, tmp_path):
    root = layout('coco_parts')
    prepared = prepare_user_dataset(read_user_dataset(root), tmp_path / 'run')
    assert len(json.loads(Path(prepared.splits['train'][0]).read_text())['images']) == 12
    path, content = part(root, 2)
    content['annotations'][0]['image_id'] = 999
    content['annotations'][1]['category_id'] = 'x'
    content['images'].append(7)
    path.write_text(json.dumps(content))
    report = check_dataset(root)[0]
    assert {'unknown_image', 'unknown_category', 'entry'} <= set(report.fatal)


@pytest.mark.parametrize(
    ('annotations', 'images'),
    [
        ('train/_annotations.coco.json', 'train'),
        ('_annotations.coco.json', '.'),
        ('train/labels.json', 'train/data'),
        ('annotations/instances_train2017.json', 'train2017'),
        ('annotations/instances_default.json', 'images'),
        ('train/annotations.json', 'train'),
        ('annotations.json', 'images'),
        ('annotations/train.json', 'train'),
    ],
)
def test_suggested_image_folder_is_correct(layout, tmp_path, annotations, images):
    content = json.loads((layout('coco') / TRAIN).read_text())
    root = tmp_path / 'new'
    (root / annotations).parent.mkdir(parents=True)
    (root / annotations).write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf'Put them into {root / images}\.$'):
        read_user_dataset(root)
    (root / images).mkdir(parents=True, exist_ok=True)
    for image in content['images']:
        (root / images / image['file_name']).write_bytes(b'')
    assert read_user_dataset(root).splits['train'].images == root / images


def two_train_files(root):
    for name in ('my', 'other'):
        shutil.copy(root / TRAIN, root / 'annotations' / f'{name}_train.json')
    (root / TRAIN).unlink()


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (two_train_files, '2 annotation files match the train split'),
        (lambda root: (root / TRAIN).unlink(), 'no training split'),
        (lambda root: shutil.rmtree(root / 'train2017'), 'images of .* were not found: the first is .000000000001.jpg'),
        (lambda root: (root / TRAIN).write_text('{'), 'is not JSON'),
        (lambda root: (root / TRAIN).write_text('[' * 100_000), 'is not JSON'),
        (lambda root: (root / TRAIN).write_text('[' * 1000 + ']' * 1000), 'is not JSON|no list'),
        (lambda root: edit(root, lambda c: c['images'].clear()), 'lists no images'),
        (lambda root: edit(root, lambda c: c['categories'].clear()), 'lists no category'),
        (lambda root: edit(root, lambda c: c['categories'][1].update(name='circle')), 'duplicate category name'),
    ],
)
def test_incomplete_data_are_reported(layout, damage, words):
    root = layout('coco')
    damage(root)
    with pytest.raises(UserError, match=words):
        read_user_dataset(root)
