import json
import shutil

import pytest
from mmcv.transforms import LoadImageFromFile
from mmdet.registry import DATASETS
from PIL import Image

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.data import check_images, prepare_dataset
from mmdet_shufflenetv2.data.checks import refuse_other_classes
from mmdet_shufflenetv2.data.shapes import CLASSES

ANN_FILE = 'annotations/instances_train2017.json'


@pytest.fixture
def root(shapes_root, tmp_path):
    return shutil.copytree(shapes_root, tmp_path / 'data')


def config(root, **changes):
    return (
        dict(
            type='CocoDataset',
            data_root=f'{root}/',
            ann_file=ANN_FILE,
            data_prefix=dict(img='train2017/'),
            metainfo=dict(classes=CLASSES),
        )
        | changes
    )


def edit(root, change):
    annotations = json.loads((root / ANN_FILE).read_text())
    change(annotations)
    (root / ANN_FILE).write_text(json.dumps(annotations))


def image(root):
    return sorted((root / 'train2017').iterdir())[3]


def test_valid_data_set_passes(root):
    prepare_dataset(config(root))
    prepare_dataset(dict(type='RepeatDataset', times=2, dataset=config(root)))
    prepare_dataset(dict(type='ConcatDataset', datasets=[config(root)]))


def test_other_formats_are_not_checked():
    prepare_dataset(dict(type='XMLDataset', data_root='nowhere/', ann_file='none.txt'))


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (lambda root: (root / ANN_FILE).unlink(), ['Annotation file not found', 'train2017', 'data_root=']),
        (lambda root: (root / ANN_FILE).write_text('{"images": ['), ['is not JSON']),
        (lambda root: (root / ANN_FILE).write_bytes(b'\xff\xfe\x00'), ['is not JSON']),
        (
            lambda root: (root / ANN_FILE).write_bytes(b'\xef\xbb\xbf' + (root / ANN_FILE).read_bytes()),
            ['byte order mark', 'without'],
        ),
        (lambda root: (root / ANN_FILE).write_text('[' * 100000), ['is not JSON']),
        (lambda root: (root / ANN_FILE).write_text('[]'), ['has no list "images"']),
        (lambda root: edit(root, lambda a: a.pop('images')), ['has no list "images"']),
        (lambda root: edit(root, lambda a: a.pop('categories')), ['has no list "categories"']),
        (lambda root: edit(root, lambda a: a['images'].clear()), ['there are no images', 'snv2 check-data']),
        (lambda root: edit(root, lambda a: a['images'][0].pop('file_name')), ['a field is missing', 'file_name']),
        (
            lambda root: edit(root, lambda a: a['categories'].append(dict(id=9, name='zebra'))),
            ["category 'zebra'", 'num_classes'],
        ),
        (lambda root: edit(root, lambda a: a['categories'].pop(1)), ['a category that is not listed']),
        (
            lambda root: edit(
                root,
                lambda a: a.update(
                    categories=[c for c in a['categories'] if c['id'] != 2],
                    annotations=[each for each in a['annotations'] if each['category_id'] != 2],
                ),
            ),
            ["lacks the category 'square'"],
        ),
        (lambda root: edit(root, lambda a: a['annotations'][0].update(category_id=77)), ['category_id 77']),
        (lambda root: image(root).unlink(), ['1 of 12 images', '000000000004.jpg is missing']),
        (lambda root: image(root).write_bytes(image(root).read_bytes()[:900]), ['000000000004.jpg is truncated']),
        (lambda root: image(root).write_bytes(b''), ['000000000004.jpg is truncated or']),
        (lambda root: image(root).write_text('hello'), ['000000000004.jpg is truncated or']),
        (lambda root: shutil.rmtree(root / 'train2017'), ['12 of 12 images', 'and 9 more']),
    ],
)
def test_errors_name_the_file_and_the_remedy(root, damage, words):
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


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda a, place: a.pop('segmentation'), 'has no mask'),
        (lambda a, place: a.update(segmentation=[]), 'has no mask'),
        (lambda a, place: place == 3 and a.update(segmentation=None), ': 1 of .* annotation id 4 has no mask'),
        (lambda a, place: place == 3 and a.update(iscrowd=1, segmentation=[]), 'annotation id 4 has no mask'),
        (lambda a, place: a.update(segmentation=[1, 2, 3, 4, 5, 6]), 'not a list of polygons'),
        (lambda a, place: a.update(segmentation=dict(size=[3, 4], counts=[12])), 'size .*3, 4.* in an image of'),
    ],
)
def test_missing_mask_is_an_error_only_if_masks_are_loaded(root, change, words):
    masked(root, change)
    with pytest.raises(UserError, match=words) as error:
        prepare_dataset(config(root, **MASKS))
    assert len(str(error.value).splitlines()) == 2
    prepare_dataset(config(root))


def test_accepts_masks_and_counts_invalid_ones(root, capsys):
    def change(annotation, place):
        if place == 0:
            annotation['segmentation'] = [[1, 2, 3, 4]]
        if place == 1:  # needs no mask: it is not loaded
            annotation.update(ignore=1, segmentation=[])

    masked(root, change)
    prepare_dataset(config(root, **MASKS))
    assert ' 1 of ' in capsys.readouterr().out.splitlines()[1]


def test_dropped_annotations_are_counted_for_training_and_evaluation(root, capsys):
    def change(content):
        for annotation, what in zip(
            content['annotations'],
            [dict(iscrowd=1), dict(iscrowd=1), dict(area=0), dict(ignore=1), dict(bbox=[1, 1, 0, 5])],
        ):
            annotation.update(what)
        sizes.update(all=len(content['annotations']))

    sizes = {}
    edit(root, change)
    prepare_dataset(config(root))
    (line,) = capsys.readouterr().out.splitlines()
    used = f'{sizes["all"] - 5} of {sizes["all"]} boxes are used for training'
    assert f'{used}. Not used: 2 x a box is marked as a crowd' in line
    assert all(
        f'1 x {reason}' in line
        for reason in ('a box is marked to be ignored', 'an annotation has no positive', 'a box has no area')
    )
    prepare_dataset(config(root, test_mode=True))
    assert '1 x a box is marked to be ignored (ignore 1), but the evaluation still uses it' in capsys.readouterr().out
    prepare_dataset(config(root), say=False)
    assert capsys.readouterr().out == ''


@pytest.mark.parametrize('empty', [{}, dict(filter_empty_gt=True)])
def test_filtered_images_are_counted_and_all_filtered_is_an_error(root, capsys, empty):
    def prepare(least, **changes):
        prepare_dataset(
            dict(type='RepeatDataset', times=2, dataset=config(root, filter_cfg=dict(empty, min_size=least), **changes))
        )

    sides = sorted(min(each['width'], each['height']) for each in json.loads((root / ANN_FILE).read_text())['images'])
    below = sum(side < sides[6] for side in sides)
    where = '`cfg_options` train_dataloader.dataset.dataset.filter_cfg.min_size=0'
    prepare(sides[6])
    (line,) = capsys.readouterr().out.splitlines()
    assert f'{below} of 12 images have a side below {sides[6]} pixels and are not used for training' in line
    assert line.endswith(where)
    with pytest.raises(UserError, match='12 of 12 images have a side below 1000 pixels') as error:
        prepare(1000)
    assert str(error.value).endswith(where)
    prepare(0)
    prepare(1000, test_mode=True)
    assert capsys.readouterr().out == ''


def resized(root):
    Image.open(image(root)).resize((48, 48)).save(image(root))


def turned(root):
    """One image is in portrait format, with an orientation in its EXIF."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(image(root)).crop((0, 0, 80, 96)).save(image(root), exif=exif)


def state(root, **fields):
    edit(
        root,
        lambda content: next(each for each in content['images'] if each['file_name'] == image(root).name).update(
            fields
        ),
    )


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (resized, ['1 of 12 images', '000000000004.jpg', 'is 48 x 48, stated ', 'scale boxes']),
        (lambda root: state(root, width=48), ['have another size', ', stated 48 x ']),
        (lambda root: (turned(root), state(root, width=80)), ['is 96 x 80, stated 80 x 96', 'EXIF', 'exiftool']),
        (lambda root: state(root, width=0), ['width is 0', 'positive number']),
        (lambda root: state(root, height='96'), ["height is '96'", 'positive number']),
        (lambda root: state(root, height=None), ['height is None', 'positive number']),
        (lambda root: edit(root, lambda content: content['images'][0].pop('width')), ['a field is missing', 'width']),
    ],
)
def test_rejects_wrong_image_size(root, damage, words):
    damage(root)
    with pytest.raises(UserError) as error:
        prepare_dataset(config(root), max_broken=5)
    assert all(word in str(error.value) for word in words), error.value
    assert len(str(error.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ('load', 'size'),
    [
        ({}, (96, 80)),
        (dict(color_type='grayscale'), (96, 80)),
        (dict(imdecode_backend='pillow'), (96, 80)),
        (dict(color_type='unchanged'), (80, 96)),
        (dict(color_type='color_ignore_orientation'), (80, 96)),
    ],
)
def test_size_is_that_of_the_pipeline(root, load, size):
    turned(root)
    pipeline = [dict(type='LoadImageFromFile', **load), dict(type='LoadAnnotations', imdecode_backend='tifffile')]
    read = LoadImageFromFile(**load).transform(dict(img_path=str(image(root))))['img']
    assert read.shape[1::-1] == size
    state(root, width=size[0], height=size[1])
    prepare_dataset(config(root, pipeline=pipeline))
    state(root, width=size[1], height=size[0])
    with pytest.raises(UserError, match=f'is {size[0]} x {size[1]}, stated {size[1]} x {size[0]}'):
        prepare_dataset(config(root, pipeline=pipeline))


def test_similar_class_names_are_reported(root):
    edit(root, lambda content: content['categories'][1].update(name='Squ are'))
    with pytest.raises(UserError, match="category 'Squ are'.* 'Squ are' differs from 'square': class names must be"):
        prepare_dataset(config(root))


def test_evaluation_data_may_lack_classes_with_a_note(root, capsys):
    prepare_dataset(config(root, metainfo=dict(classes=('comet', *CLASSES))), training=False)
    assert f'has {len(CLASSES)} of the {len(CLASSES) + 1} classes (circle, ' in capsys.readouterr().err


@pytest.mark.parametrize(
    'wrap',
    [
        lambda cfg: cfg,
        lambda cfg: dict(type='RepeatDataset', times=2, dataset=cfg),
        lambda cfg: dict(type='ConcatDataset', datasets=[config(''), cfg]),
    ],
)
def test_rejects_data_sets_with_different_class_orders(wrap):
    refuse_other_classes(wrap(config('')), config(''))
    for pair in (
        (wrap(config('')), config('', metainfo=dict(classes=CLASSES[::-1]))),
        (wrap(config('', metainfo=dict(classes=CLASSES[::-1]))), config('')),
    ):
        with pytest.raises(UserError, match="'circle' in one is 'cross' in another|'cross' in one is 'circle'"):
            refuse_other_classes(*pair)


def test_rejects_duplicate_class_names(root):
    with pytest.raises(UserError, match="Duplicate class in the metainfo of the config: 'circle'"):
        prepare_dataset(config(root, metainfo=dict(classes=(*CLASSES, 'circle'))))


def test_category_ids_are_those_of_the_first_data_set(root):
    edit(
        root,
        lambda content: [
            entry.update({key: entry[key] + 6})
            for kind, key in (('categories', 'id'), ('annotations', 'category_id'))
            for entry in content[kind]
        ],
    )
    backwards = tuple(CLASSES[::-1])
    other = ANN_FILE.replace('train', 'val')
    joined = [
        config(root, metainfo=dict(classes=backwards)),
        config(root, metainfo=dict(classes=backwards), ann_file=other, data_prefix=dict(img='val2017/')),
    ]
    prepare_dataset(dict(type='ConcatDataset', datasets=joined))
    assert [list(each['metainfo']['category_ids']) for each in joined] == [[11, 10, 9, 8, 7]] * 2
    assert DATASETS.build(joined[1] | dict(lazy_init=True)).metainfo['category_ids'] == [11, 10, 9, 8, 7]


def test_coco_classes_are_the_default(root):
    with pytest.raises(UserError, match="'circle'.*80 classes"):
        prepare_dataset(config(root, metainfo=None))


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.bmp', '.webp', '.tif'])
def test_accepts_complete_images_and_rejects_truncated_ones(tmp_path, suffix):
    path = tmp_path / f'image{suffix}'
    Image.effect_noise((60, 50), 40).convert('RGB').save(path)
    check_images([path])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match='truncated or'):
        check_images([path])


def test_accepts_extra_bytes_after_an_image(root):
    with image(root).open('ab') as file:
        file.write(b'written by a camera')
    check_images([image(root)])
