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


def masked(root, change=lambda annotation, place: None):
    def each(content):
        for place, annotation in enumerate(content['annotations']):
            x, y, w, h = annotation['bbox']
            annotation['segmentation'] = [[x, y, x + w, y, x + w, y + h]]
            change(annotation, place)
    edit(root, each)


MASKS = dict(pipeline=[dict(type='LoadAnnotations', with_bbox=True, with_mask=True)])


@pytest.mark.parametrize(('change', 'words'), [
    (lambda a, place: a.pop('segmentation'), 'has no mask'),
    (lambda a, place: a.update(segmentation=[]), 'has no mask'),
    (lambda a, place: place == 3 and a.update(segmentation=None), ': 1 of .* annotation id 4 has no mask'),
    (lambda a, place: place == 3 and a.update(iscrowd=1, segmentation=[]), 'annotation id 4 has no mask'),
    (lambda a, place: a.update(segmentation=[1, 2, 3, 4, 5, 6]), 'not a list of polygons'),
    (lambda a, place: a.update(segmentation=dict(size=[3, 4], counts=[12])), 'size .*3, 4.* in an image of'),
])
def test_a_box_without_a_mask_is_refused_where_masks_are_loaded_and_only_there(root, change, words):
    masked(root, change)
    with pytest.raises(UserError, match=words) as error:
        prepare_dataset(config(root, **MASKS))
    assert len(str(error.value).splitlines()) == 2
    prepare_dataset(config(root))


def test_masks_pass_and_those_that_cannot_be_drawn_are_counted(root, capsys):
    def change(annotation, place):
        if place == 0:
            annotation['segmentation'] = [[1, 2, 3, 4]]
        if place == 1:  # needs no mask: it is not loaded
            annotation.update(ignore=1, segmentation=[])

    masked(root, change)
    prepare_dataset(config(root, **MASKS))
    assert ' 1 of ' in capsys.readouterr().out.splitlines()[1]


def test_what_a_training_leaves_out_is_counted_and_an_evaluation_says_what_it_counts_all_the_same(root, capsys):
    def change(content):
        for annotation, what in zip(content['annotations'], [dict(iscrowd=1), dict(iscrowd=1), dict(area=0),
                                                             dict(ignore=1), dict(bbox=[1, 1, 0, 5])]):
            annotation.update(what)
        sizes.update(all=len(content['annotations']))

    sizes = {}
    edit(root, change)
    prepare_dataset(config(root))
    line, = capsys.readouterr().out.splitlines()
    assert f'{sizes["all"] - 5} of {sizes["all"]} boxes to learn from. Left out: 2 x a box is marked as a crowd' in line
    assert all(f'1 x {reason}' in line for reason in ('a box is marked to be ignored', 'an annotation has no positive',
                                                      'a box has no area'))
    prepare_dataset(config(root, test_mode=True))
    assert '1 x a box is marked to be ignored (ignore 1), and is evaluated on all the same' in capsys.readouterr().out
    prepare_dataset(config(root), say=False)
    assert capsys.readouterr().out == ''


def small(content, count):
    for image in content['images'][:count]:
        image['height'] = 20
    return content


@pytest.mark.parametrize('filters', [dict(min_size=32), dict(min_size=32, filter_empty_gt=True)])
def test_small_images_that_the_config_leaves_out_are_counted_and_all_of_them_refused(root, capsys, filters):
    edit(root, lambda content: small(content, 5))
    where = '--cfg-options train_dataloader.dataset.dataset.filter_cfg.min_size=0'
    prepare_dataset(dict(type='RepeatDataset', times=2, dataset=config(root, filter_cfg=filters)))
    out = capsys.readouterr().out
    assert '5 of 12 images have a side below 32 pixels and are left out of training' in out
    assert where in out
    edit(root, lambda content: small(content, 12))
    with pytest.raises(UserError, match='12 of 12 images have a side below 32 pixels') as error:
        prepare_dataset(dict(type='RepeatDataset', times=2, dataset=config(root, filter_cfg=filters)))
    assert where in str(error.value)
    prepare_dataset(config(root, filter_cfg=dict(filters, min_size=0)))
    prepare_dataset(config(root, filter_cfg=filters, test_mode=True))


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
