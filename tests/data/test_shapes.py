import json
import shutil

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.data import make_shapes
from mmdet_shufflenetv2.data.shapes import CLASSES, draw_image


def files(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob('*')) if path.is_file()}


def test_pycocotools_reads_it_in_cocos_layout(shapes_root):
    for split, count in (('train2017', 12), ('val2017', 6)):
        coco = COCO(shapes_root / 'annotations' / f'instances_{split}.json')
        assert [c['name'] for c in coco.loadCats(coco.getCatIds())] == list(CLASSES)
        assert len(coco.imgs) == count
        for image in coco.imgs.values():
            pixels = cv2.imread(str(shapes_root / split / image['file_name']))
            assert pixels.shape == (image['height'], image['width'], 3)
            assert max(pixels.shape) == 96


def test_boxes_are_those_of_the_visible_pixels(shapes_root):
    coco = COCO(shapes_root / 'annotations' / 'instances_train2017.json')
    assert len(coco.anns) > 12
    for image_id in coco.imgs:
        seen = np.zeros(1)
        for annotation in coco.loadAnns(coco.getAnnIds(image_id)):
            mask = coco_mask.decode(annotation['segmentation'])
            assert coco_mask.toBbox(annotation['segmentation']).tolist() == annotation['bbox']
            assert mask.sum() == annotation['area']
            seen = seen + mask
        assert seen.max() <= 1  # no pixel belongs to two shapes


def test_files_depend_only_on_the_arguments(tmp_path):
    same = [files(make_shapes(tmp_path / name, 2, 1, 64, seed=3)) for name in ('a', 'b')]
    other = files(make_shapes(tmp_path / 'c', 2, 1, 64, seed=4))
    assert same[0] == same[1]
    assert same[0] != other


def test_more_images_keep_the_first_ones(tmp_path):
    few, many = (files(make_shapes(tmp_path / str(n), n, 1, 64) / 'train2017') for n in (2, 4))
    assert few.items() <= many.items()


def test_no_image_is_in_both_splits(shapes_root):
    splits = [set(files(shapes_root / split).values()) for split in ('train2017', 'val2017')]
    assert not splits[0] & splits[1]


def test_second_call_keeps_the_files(shapes_root):
    before = {path: path.stat().st_mtime_ns for path in shapes_root.rglob('*')}
    make_shapes(shapes_root, 12, 6, 96)
    assert {path: path.stat().st_mtime_ns for path in shapes_root.rglob('*')} == before


@pytest.mark.parametrize('arguments', [(13, 6, 96), (12, 7, 96), (12, 6, 97), (12, 6, 96, 1)])
def test_rejects_shapes_of_other_arguments(shapes_root, arguments):
    with pytest.raises(UserError, match='Shapes generated with'):
        make_shapes(shapes_root, *arguments)


def test_rejects_folder_with_other_files(tmp_path):
    (tmp_path / 'mine.txt').write_text('precious')
    with pytest.raises(UserError, match='other files'):
        make_shapes(tmp_path, 1, 1, 64)
    assert (tmp_path / 'mine.txt').read_text() == 'precious'


def test_an_interrupted_call_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(json, 'dumps', lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        make_shapes(tmp_path / 'shapes', 1, 1, 64)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('arguments', [(0, 1, 96), (1, 0, 96), (1, 1, 32)])
def test_rejects_invalid_sizes(tmp_path, arguments):
    with pytest.raises(UserError, match='at least 1 image'):
        make_shapes(tmp_path / 'shapes', *arguments)


def test_classes_sizes_and_overlaps_vary():
    drawn = [draw_image(np.random.default_rng(seed), 128) for seed in range(60)]
    shapes = [shape for _, shapes in drawn for shape in shapes]
    areas = sorted(mask.sum() for _, mask in shapes)
    assert {label for label, _ in shapes} == set(range(len(CLASSES)))
    assert areas[-len(areas) // 20] > 8 * areas[len(areas) // 20]
    assert len({image.shape for image, _ in drawn}) > 10


def test_the_registered_data_set_makes_its_files_when_it_is_first_used(tmp_path, shapes_root):
    cfg = dict(
        type='ShapesDataset',
        data_root=str(tmp_path / 'new'),
        shapes=dict(num_train=2, num_val=1, size=64),
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=[],
    )
    DATASETS.build(dict(cfg, lazy_init=True))
    assert not (tmp_path / 'new').exists()
    dataset = DATASETS.build(cfg)
    assert len(dataset) == 2
    assert dataset.metainfo['classes'] == CLASSES
    assert dataset.get_data_info(0)['instances']


def test_mmdetections_own_coco_data_set_reads_it_too(shapes_root, tmp_path):
    root = shutil.copytree(shapes_root, tmp_path / 'copy')
    dataset = DATASETS.build(
        dict(
            type='CocoDataset',
            data_root=str(root),
            metainfo=dict(classes=CLASSES),
            pipeline=[],
            ann_file='annotations/instances_val2017.json',
            data_prefix=dict(img='val2017/'),
        )
    )
    coco = json.loads((root / 'annotations' / 'instances_val2017.json').read_text())
    assert sum(len(dataset.get_data_info(i)['instances']) for i in range(len(dataset))) == len(coco['annotations'])
