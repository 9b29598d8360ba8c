import copy
import json
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
from mmdet.registry import DATASETS
from mutator import mutate
from own_data_layouts import CLASSES, LAYOUTS
from pycocotools.coco import COCO

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.data.layouts.find import read_user_dataset
from mmdet_shufflenetv2.data.prepared import load_prepared, prepare_user_dataset
from mmdet_shufflenetv2.data.problems import WARNINGS
from mmdet_shufflenetv2.data.summary import summary
from mmdet_shufflenetv2.training.check_dataset import check_dataset

TRAIN, VAL = 'annotations/instances_train2017.json', 'annotations/instances_val2017.json'


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def dataset(prepared, split):
    ann_file, images = prepared.splits[split]
    return DATASETS.build(
        dict(
            type='CocoDataset',
            ann_file=ann_file,
            data_prefix=dict(img=images),
            pipeline=[],
            metainfo=dict(classes=prepared.classes),
        )
    )


def contents(root):
    return {path: path.read_bytes() for path in root.rglob('*') if path.is_file()}


@pytest.mark.parametrize('name', LAYOUTS)
def test_mmdetection_reads_every_layout_and_user_files_are_unchanged(layout, tmp_path, name):
    root = layout(name)
    before = contents(root)
    prepared = prepare_user_dataset(read_user_dataset(root), tmp_path / 'run')
    assert contents(root) == before
    for split, count in (('train', 12), ('val', 6)):
        read = dataset(prepared, split)
        assert len(read) == count
        labels = {
            instance['bbox_label'] for number in range(count) for instance in read.get_data_info(number)['instances']
        }
        assert labels <= set(range(5))
    assert load_prepared(tmp_path / 'run') == prepared


def test_valid_file_is_used_in_place(layout, tmp_path):
    root = layout('coco')
    prepared = prepare_user_dataset(read_user_dataset(root), tmp_path / 'run')
    assert prepared.splits['val'][0] == str(root / VAL)
    assert [path.name for path in (tmp_path / 'run' / 'own_data').iterdir()] == ['data.json']


def test_file_from_windows_is_rewritten(layout, tmp_path):
    root = layout('coco')
    path = root / VAL
    (root / 'val2017').rename(root / 'photos')
    edit(path, lambda content: [image.update(file_name=f'photos\\{image["file_name"]}') for image in content['images']])
    path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes())
    read = dataset(prepare_user_dataset(read_user_dataset(root), tmp_path / 'run'), 'val')
    assert {Path(read.get_data_info(n)['img_path']) for n in range(len(read))} == set((root / 'photos').iterdir())


def test_labels_do_not_depend_on_the_category_order_of_a_split(layout, tmp_path):
    root = layout('coco')
    names = {a['id']: a['category_id'] for a in json.loads((root / VAL).read_text())['annotations']}

    def shuffle(content):
        content['categories'] = [dict(category, id=category['id'] + 40) for category in content['categories'][::-1]]
        for annotation in content['annotations']:
            annotation['category_id'] += 40

    edit(root / VAL, shuffle)
    prepared = prepare_user_dataset(read_user_dataset(root), tmp_path / 'run')
    read, found = dataset(prepared, 'val'), COCO(prepared.splits['val'][0])
    of_class = {label + 1: 0 for label in range(5)}
    for number in names.values():
        of_class[number] += 1
    labels = [i['bbox_label'] for n in range(len(read)) for i in read.get_data_info(n)['instances']]
    assert {label + 1: labels.count(label) for label in range(5)} == of_class
    assert [category['name'] for category in found.dataset['categories']] == list(CLASSES)


def test_split_may_lack_an_unused_class(layout, tmp_path):
    root = layout('coco')

    def drop(content):
        content['categories'] = [category for category in content['categories'] if category['name'] != 'star']
        content['annotations'] = [a for a in content['annotations'] if a['category_id'] != 4]

    edit(root / VAL, drop)
    assert len(dataset(prepare_user_dataset(read_user_dataset(root), tmp_path / 'run'), 'val')) == 6


def test_missing_validation_split_is_a_fixed_fifth(layout, tmp_path):
    root = layout('coco')
    (root / VAL).unlink()
    data = read_user_dataset(root)
    prepared = prepare_user_dataset(data, tmp_path / 'a')
    again = prepare_user_dataset(read_user_dataset(root), tmp_path / 'b')
    ids = {split: set(COCO(ann_file).imgs) for split, (ann_file, _) in prepared.splits.items()}
    assert {split: len(of) for split, of in ids.items()} == dict(train=10, val=2)
    assert not ids['train'] & ids['val']
    assert ids == {split: set(COCO(ann_file).imgs) for split, (ann_file, _) in again.splits.items()}
    assert any('2 of the 12 training images are held out' in note for note in data.notes)


def test_moved_work_dir_is_read_and_missing_images_are_reported(layout, tmp_path):
    root = layout('yolo')
    prepare_user_dataset(read_user_dataset(root), tmp_path / 'run')
    (tmp_path / 'run').rename(tmp_path / 'moved')
    assert load_prepared(tmp_path / 'moved').splits['val'][0] == str(tmp_path / 'moved' / 'own_data' / 'val.json')
    shutil.rmtree(root)
    with pytest.raises(UserError, match='no longer exists. Name their new folder: data=DIR'):
        load_prepared(tmp_path / 'moved')
    assert load_prepared(tmp_path) is None


def learned(prepared, split='train'):
    read = dataset(prepared, split)
    return sum(
        not instance['ignore_flag'] for place in range(len(read)) for instance in read.get_data_info(place)['instances']
    )


@pytest.mark.parametrize('area', [0, 0.0, -1, None, float('nan'), 10**400, 'much', '12', True, 'missing'])
def test_missing_area_is_that_of_the_box(layout, tmp_path, area):
    root = layout('coco')

    def change(content):
        for annotation in content['annotations'][:7]:
            annotation['area'] = area
            if area == 'missing':
                del annotation['area']

    edit(root / TRAIN, change)
    data = read_user_dataset(root)
    prepared = prepare_user_dataset(data, tmp_path / 'run')
    content = json.loads(Path(prepared.splits['train'][0]).read_text())['annotations']
    assert [a['area'] for a in content[:7]] == [a['bbox'][2] * a['bbox'][3] for a in content[:7]]
    assert learned(prepared) == len(content)
    assert any(note.startswith('train: 7 x invalid area') for note in data.notes) == (area != 'missing')
    report = check_dataset(root)[0]
    assert (report.fatal, report.learned) == ([], len(content))
    assert any('7 x invalid area' in note for note in report.notes) == (area != 'missing')


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (dict(iscrowd=1), 'crowd'),
        (dict(iscrowd=True), 'crowd'),
        (dict(iscrowd='1'), 'crowd'),
        (dict(iscrowd=1, segmentation=dict(size=[96, 82], counts=[0, 9, 7863])), 'crowd'),
        (dict(iscrowd=1, segmentation=dict(size=[96, 82], counts='0900')), 'crowd'),
        (dict(ignore=1), 'ignored'),
        (dict(ignore=True), 'ignored'),
        (dict(ignore='true'), 'ignored'),
        (dict(bbox=[1, 1, 0, 4]), 'box_flat'),
        (dict(bbox=[1, 1, 4, -4]), 'box_flat'),
        (dict(bbox=[1, 1, 0.5, 4]), 'box_tiny'),
        (dict(bbox=[999, 1, 5, 4]), 'box_beside'),
        (dict(iscrowd=0), None),
        (dict(iscrowd=None), None),
        (dict(iscrowd='0'), None),
        (dict(iscrowd=False), None),
        (dict(ignore=0), None),
        (dict(ignore='0'), None),
        (dict(ignore=False), None),
        (dict(ignore=None), None),
    ],
)
def test_summary_check_and_mmdetection_count_the_same_boxes(layout, tmp_path, change, reason):
    root = layout('coco')
    edit(root / TRAIN, lambda content: [annotation.update(change) for annotation in content['annotations'][:9]])
    data = read_user_dataset(root)
    prepared = prepare_user_dataset(data, tmp_path / 'run')
    total = len(data.splits['train'].annotations['annotations'])
    count = total - 9 * (reason is not None)
    report = check_dataset(root)[0]
    assert learned(prepared) == report.learned == count
    assert report.found.get(reason, 0) == (9 if reason else 0)
    text = summary(data)
    assert (f'{count} of {total} boxes' in text) == (reason is not None)
    assert sum(int(line.split()[1]) for line in text.splitlines() if line.split()[0] in CLASSES) == count
    assert (f'note: train: 9 x {WARNINGS.get(reason)}: annotation 0' in text) == (reason is not None)


def test_ignored_objects_are_not_evaluated(layout, tmp_path):
    root = layout('coco')
    edit(root / VAL, lambda content: [annotation.update(ignore=1) for annotation in content['annotations'][:5]])
    found = COCO(prepare_user_dataset(read_user_dataset(root), tmp_path / 'run').splits['val'][0])
    assert [annotation['iscrowd'] for annotation in found.dataset['annotations']][:6] == [1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(iscrowd=1), 'a box is marked as a crowd, iscrowd 1'),
        (dict(ignore=1), 'a box is marked to be ignored'),
        (dict(bbox=[1, 1, 0, 3]), 'a box has no area'),
        (dict(bbox=[999, 1, 5, 4]), 'a box is outside its image'),
    ],
)
def test_training_without_objects_is_an_error_with_the_reason(layout, tmp_path, change, words):
    root = layout('coco')
    edit(root / TRAIN, lambda content: [annotation.update(change) for annotation in content['annotations']])
    with pytest.raises(UserError, match=f'train: .*no box to train on: none of .* x {words}'):
        prepare_user_dataset(read_user_dataset(root), tmp_path / 'run')


def test_category_name_can_be_a_number(layout, tmp_path):
    root = layout('coco')
    for path in (root / TRAIN, root / VAL):
        edit(path, lambda content: [category.update(name=category['id']) for category in content['categories']])
    data = read_user_dataset(root)
    prepared = prepare_user_dataset(data, tmp_path / 'run')
    assert prepared.classes == ('1', '2', '3', '4', '5')
    assert learned(prepared) == len(data.splits['train'].annotations['annotations'])


@pytest.mark.parametrize('name', [None, '', ['a'], True, 1.5])
def test_category_without_a_name_is_reported(layout, tmp_path, name):
    root = layout('coco')
    edit(root / TRAIN, lambda content: content['categories'][2].update(name=name))
    with pytest.raises(UserError, match='train: .*: category 2: name is'):
        prepare_user_dataset(read_user_dataset(root), tmp_path / 'run')


@pytest.mark.parametrize('make', ['same', 'copied', 'other'])
def test_validation_images_in_train_are_reported(layout, tmp_path, make):
    root = layout('yolo')  # whose splits share names of files, not images
    if make == 'same':
        (root / 'data.yaml').write_text((root / 'data.yaml').read_text().replace('images/val', 'images/train'))
    if make == 'copied':
        image = sorted((root / 'images' / 'train').iterdir())[0]
        shutil.copy(image, root / 'images' / 'val' / image.name)
    data = read_user_dataset(root)
    prepare_user_dataset(data, tmp_path / 'run')
    said = dict(same='12 of the 12 images of val are also in', copied='1 of the 6 images of val are also in')
    for notes in (data.notes, check_dataset(root)[0].notes):
        assert [note for note in notes if 'are also in train' in note] == [
            note for note in notes if said.get(make, 'nothing') in note
        ]
        assert any('are also in train' in note for note in notes) == (make != 'other')


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda c: c['annotations'][0].update(bbox=[1, 2, 3]), 'train: 1 x .* four coordinates: annotation 0'),
        (
            lambda c: c['annotations'][0].update(category_id=77),
            'category that is not listed: annotation 0: category_id 77',
        ),
        (lambda c: c['images'][0].update(id='x'), 'expected a 64-bit integer.*, and 1 other problems'),
        (lambda c: c['annotations'].clear(), 'there are no annotations'),
        (lambda c: c['categories'][0].update(name='moon\x1b'), 'unprintable characters'),
    ],
)
def test_fatal_problem_is_reported_with_the_command_that_lists_all(layout, tmp_path, change, words):
    root = layout('coco')
    edit(root / 'annotations' / 'instances_train2017.json', change)
    if 'moon' in words or 'shown' in words:
        edit(root / VAL, change)
    with pytest.raises(UserError, match=words):
        prepare_user_dataset(read_user_dataset(root), tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def test_rejects_boxes_of_other_classes(layout, tmp_path):
    root = layout('coco')
    edit(root / VAL, lambda content: content['categories'][0].update(name='moon'))
    with pytest.raises(UserError, match="has boxes of 'moon', which are not among the 5 classes"):
        prepare_user_dataset(read_user_dataset(root), tmp_path / 'run')


def test_similar_class_name_is_reported(layout, tmp_path):
    root = layout('coco')
    edit(root / VAL, lambda content: content['categories'][0].update(name='Cir cle'))
    with pytest.raises(UserError, match="'Cir cle' differs from 'circle': class names must be identical"):
        prepare_user_dataset(read_user_dataset(root), tmp_path / 'run')


def test_evaluation_data_keep_their_categories(layout, tmp_path):
    root = layout('coco')
    prepared = prepare_user_dataset(
        read_user_dataset(root), tmp_path / 'run', ('comet', *CLASSES[::-1]), training=False
    )
    assert prepared.classes == ('comet', *CLASSES[::-1])
    assert {category['name'] for category in COCO(prepared.splits['val'][0]).cats.values()} == set(CLASSES)
    read = dataset(prepared, 'val')
    names = {c['id']: c['name'] for c in json.loads((root / VAL).read_text())['categories']}
    of_image = Counter(
        (a['image_id'], names[a['category_id']]) for a in json.loads((root / VAL).read_text())['annotations']
    )
    assert of_image == Counter(
        (read.get_data_info(n)['img_id'], prepared.classes[i['bbox_label']])
        for n in range(len(read))
        for i in read.get_data_info(n)['instances']
    )


def test_invalid_label_line_is_an_error_with_file_and_line(layout, tmp_path):
    root = layout('yolo')
    path = root / 'labels' / 'train' / '000000000001.txt'
    path.write_text('9 0.5 0.5 0.5 0.5')
    with pytest.raises(UserError, match=f'{path}:1: class 9'):
        prepare_user_dataset(read_user_dataset(root), tmp_path / 'run')


def test_mutated_annotations_are_prepared_or_rejected_in_two_lines(layout, tmp_path):
    path = layout('coco') / 'annotations' / 'instances_train2017.json'
    content, rng, refused = json.loads(path.read_text()), random.Random(0), 0
    for _ in range(60):
        mutated = copy.deepcopy(content)
        mutate(mutated, rng)
        path.write_text(json.dumps(mutated))
        said = outcome(path.parent.parent, tmp_path / 'run')
        refused += bool(said)
        assert len(said) <= 2
    assert 10 < refused < 60


def outcome(root, work_dir):
    """The lines of the error; none where the data can be trained on."""
    try:
        data = read_user_dataset(root)
        prepare_user_dataset(data, work_dir)
        summary(data).encode()
    except UserError as error:
        return str(error).splitlines()
    return []
