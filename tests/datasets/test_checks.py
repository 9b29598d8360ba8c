import json
import shutil

import pytest
from PIL import Image

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.datasets import check_images, prepare_dataset
from mmdet_shufflenetv2.datasets.shapes import CLASSES

ANN_FILE = 'annotations/instances_train2017.json'


@pytest.fixture
def root(shapes_root, tmp_path):
    return shutil.copytree(shapes_root, tmp_path / 'data')


def config(root, **changes):
    return dict(type='CocoDataset', data_root=f'{root}/', ann_file=ANN_FILE, data_prefix=dict(img='train2017/'),
                metainfo=dict(classes=CLASSES)) | changes


def edit(root, change):
    annotations = json.loads((root / ANN_FILE).read_text())
    change(annotations)
    (root / ANN_FILE).write_text(json.dumps(annotations))


def image(root):
    return sorted((root / 'train2017').iterdir())[3]


def test_a_whole_data_set_passes(root):
    prepare_dataset(config(root))
    prepare_dataset(dict(type='RepeatDataset', times=2, dataset=config(root)))
    prepare_dataset(dict(type='ConcatDataset', datasets=[config(root)]))


def test_data_sets_of_other_formats_are_left_alone():
    prepare_dataset(dict(type='XMLDataset', data_root='nowhere/', ann_file='none.txt'))


@pytest.mark.parametrize(('damage', 'words'), [
    (lambda root: (root / ANN_FILE).unlink(), ['no annotation file', 'train2017', '--data-root']),
    (lambda root: (root / ANN_FILE).write_text('{"images": ['), ['is not JSON']),
    (lambda root: (root / ANN_FILE).write_bytes(b'\xff\xfe\x00'), ['is not JSON']),
    (lambda root: (root / ANN_FILE).write_bytes(b'\xef\xbb\xbf' + (root / ANN_FILE).read_bytes()),
     ['byte order mark', 'without']),
    (lambda root: (root / ANN_FILE).write_text('[' * 100000), ['is not JSON']),
    (lambda root: (root / ANN_FILE).write_text('[]'), ['has no list "images"']),
    (lambda root: edit(root, lambda a: a.pop('images')), ['has no list "images"']),
    (lambda root: edit(root, lambda a: a.pop('categories')), ['has no list "categories"']),
    (lambda root: edit(root, lambda a: a['images'].clear()), ['there is no image', 'check_dataset.py']),
    (lambda root: edit(root, lambda a: a['images'][0].pop('file_name')), ['a field is missing', 'file_name']),
    (lambda root: edit(root, lambda a: a['categories'].append(dict(id=9, name='zebra'))),
     ["category 'zebra'", 'num_classes']),
    (lambda root: edit(root, lambda a: a['categories'].pop(1)), ['a category that is not listed']),
    (lambda root: edit(root, lambda a: a.update(
        categories=[c for c in a['categories'] if c['id'] != 2],
        annotations=[each for each in a['annotations'] if each['category_id'] != 2])), ["lacks the category 'square'"]),
    (lambda root: edit(root, lambda a: a['annotations'][0].update(category_id=77)), ['category_id 77']),
    (lambda root: image(root).unlink(), ['1 of 12 images', '000000000004.jpg is missing']),
    (lambda root: image(root).write_bytes(image(root).read_bytes()[:900]), ['000000000004.jpg is truncated']),
    (lambda root: image(root).write_bytes(b''), ['000000000004.jpg is truncated or no image']),
    (lambda root: image(root).write_text('hello'), ['000000000004.jpg is truncated or no image']),
    (lambda root: shutil.rmtree(root / 'train2017'), ['12 of 12 images', 'and 9 more']),
])
def test_what_is_wrong_is_said_with_the_file_and_what_to_do(root, damage, words):
    damage(root)
    with pytest.raises(UserError) as error:
        prepare_dataset(dict(type='RepeatDataset', times=2, dataset=config(root)))
    assert all(word in str(error.value) for word in words), error.value
    assert len(str(error.value).splitlines()) <= 2


def test_coco_classes_are_expected_where_the_config_names_none(root):
    with pytest.raises(UserError, match="'circle'.*80 classes"):
        prepare_dataset(config(root, metainfo=None))


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.bmp', '.webp', '.tif'])
def test_whole_images_of_every_format_pass_and_halves_do_not(tmp_path, suffix):
    path = tmp_path / f'image{suffix}'
    Image.effect_noise((60, 50), 40).convert('RGB').save(path)
    check_images([path])
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    with pytest.raises(UserError, match='truncated or no image'):
        check_images([path])


def test_bytes_behind_a_picture_do_not_make_it_broken(root):
    with image(root).open('ab') as file:
        file.write(b'written by a camera')
    check_images([image(root)])
