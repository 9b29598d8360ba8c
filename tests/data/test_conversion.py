"""``snv2 convert``: what is written is what was read, whoever reads it, and what is lost is said."""

import contextlib
import io
import json
import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from own_data_layouts import CLASSES, LAYOUTS, SPLITS, annotations_of, corners
from pycocotools.coco import COCO

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.data.conversion import convert
from mmdet_shufflenetv2.data.layouts.find import read_user_dataset
from mmdet_shufflenetv2.data.prepared import prepare_user_dataset

TARGETS = ('coco', 'yolo', 'voc')
WIDTH, HEIGHT = 100, 80


def boxes_by_pixels(data, split):
    """Content of each image file -> its boxes in order, each with class and flag."""
    annotations, folder = data.splits[split].annotations, data.splits[split].images
    names = {category['id']: category['name'] for category in annotations['categories']}
    return Counter(
        (
            (folder / image['file_name']).read_bytes(),
            tuple(
                (names[one['category_id']], *one['bbox'], one.get('ignore', 0) or one['iscrowd'])
                for one in annotations['annotations']
                if one['image_id'] == image['id']
            ),
        )
        for image in annotations['images']
    )


@pytest.mark.parametrize('to', TARGETS)
@pytest.mark.parametrize('name', LAYOUTS)
def test_conversion_round_trips_between_all_formats(layout, tmp_path, name, to):
    data = read_user_dataset(layout(name))
    convert(data.root, tmp_path / 'out', to)
    result = read_user_dataset(tmp_path / 'out')
    assert result.format == dict(coco='COCO', yolo='YOLO', voc='Pascal VOC')[to]
    assert result.classes == data.classes == CLASSES
    assert list(result.splits) == list(data.splits) == list(SPLITS.values())
    for split in data.splits:
        assert boxes_by_pixels(result, split) == boxes_by_pixels(data, split)
        assert not result.faults.get(split)


def read_by_others(root, to, split):
    """File name -> class names and corners, as pycocotools, supervision and Python's XML parser read them."""
    if to == 'coco':
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(root / 'annotations' / f'instances_{split}.json')
        return {
            image['file_name']: [
                (coco.cats[one['category_id']]['name'], *corners(one)) for one in coco.imgToAnns[image['id']]
            ]
            for image in coco.imgs.values()
        }
    if to == 'yolo':
        supervision = pytest.importorskip('supervision')
        read = supervision.DetectionDataset.from_yolo(
            str(root / 'images' / split), str(root / 'labels' / split), str(root / 'data.yaml')
        )
        return {
            path.rpartition('/')[2]: [(read.classes[label], *box) for label, box in zip(found.class_id, found.xyxy)]
            for path, _, found in read
        }
    found = {}
    for stem in (root / 'ImageSets' / 'Main' / f'{split}.txt').read_text().split():
        tree = ElementTree.parse(root / 'Annotations' / f'{stem}.xml')
        found[tree.findtext('filename')] = [
            (
                one.findtext('name'),
                *(
                    float(one.findtext(f'bndbox/{key}')) - less
                    for key, less in (('xmin', 1), ('ymin', 1), ('xmax', 0), ('ymax', 0))
                ),
            )
            for one in tree.iter('object')
        ]
    return found


@pytest.mark.parametrize('to', TARGETS)
def test_other_readers_find_the_original_boxes(layout, shapes_root, tmp_path, to):
    convert(layout('coco'), tmp_path / 'out', to)
    content = annotations_of(shapes_root, 'train2017')
    expected = {
        image['file_name']: [
            (CLASSES[one['category_id'] - 1], *one['bbox'])
            for one in content['annotations']
            if one['image_id'] == image['id']
        ]
        for image in content['images']
    }
    found = read_by_others(tmp_path / 'out', to, 'train')
    assert found.keys() == expected.keys()
    for file, boxes in found.items():
        assert [name for name, *_ in boxes] == [name for name, *_ in expected[file]]
        for (_, *box), (_, x, y, w, h) in zip(boxes, expected[file]):
            np.testing.assert_allclose(box, (x, y, x + w, y + h), atol=1e-3)


def data_of(root, boxes, classes=('cat', 'dog'), files=('a.jpg',), **more):
    """COCO's format: boxes of image 1, each a class's number, a box, and other fields; images that differ."""
    root.mkdir()
    for number, file in enumerate(files):
        (root / 'images' / file).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / 'images' / file), np.full((HEIGHT, WIDTH, 3), 20 * number, np.uint8))
    (root / 'train.json').write_text(
        json.dumps(
            dict(
                images=[
                    dict(id=number, file_name=file, width=WIDTH, height=HEIGHT) for number, file in enumerate(files, 1)
                ],
                annotations=[
                    dict(dict(id=number, image_id=1, category_id=label, bbox=box, iscrowd=0), **fields)
                    for number, (label, box, fields) in enumerate(boxes, 1)
                ],
                categories=[dict(id=number, name=name) for number, name in enumerate(classes, 1)],
                **more,
            )
        )
    )
    return root


BOX = (1, [10.25, 20.125, 30.5, 40.875], {})


def found_boxes(data):
    return [one['bbox'] for one in data.splits['train'].annotations['annotations']]


@pytest.mark.parametrize('to', TARGETS)
@pytest.mark.parametrize(
    'box',
    [
        [10.123, 20.456, 30.789, 40.001],
        [0, 0, WIDTH, HEIGHT],
        [10, 20, 1, 1],
        [10.5, 20.25, 0.5, 0.125],
        [99.001, 79.001, 0.999, 0.999],
        [0, 0, 1.001, 1.001],
    ],
)
def test_boxes_are_exact_to_a_thousandth_of_a_pixel(tmp_path, box, to):
    result = convert(data_of(tmp_path / 'data', [BOX, (1, box, {})]), tmp_path / 'out', to)
    assert found_boxes(result) == [BOX[1], box]


@pytest.mark.parametrize('to', TARGETS)
@pytest.mark.parametrize(
    'names',
    [
        ('zebra', 'ant'),
        ('no', '1'),
        ('café & <b>', '猫: "x"'),
        ('#1', "it's"),
        ('a,b;c', '- x'),
        ('😀', '{0}'),
        ('background', 'cat'),
    ],
)
def test_class_names_and_order_are_kept(tmp_path, names, to):
    result = convert(data_of(tmp_path / 'data', [BOX], (*names, 'unused')), tmp_path / 'out', to)
    assert result.classes == (*names, 'unused')


@pytest.mark.parametrize('to', TARGETS)
def test_keeps_images_without_objects_and_duplicate_names(tmp_path, to):
    files = ('a.jpg', 'A.jpg', 'b/a.jpg', 'a.png', 'images/c d.jpg', 'a_2.jpg', 'e.f.jpg', '.g.jpg')
    data = read_user_dataset(data_of(tmp_path / 'data', [BOX], files=files))
    expected = boxes_by_pixels(data, 'train')
    convert(data.root, tmp_path / 'out', to)
    result = read_user_dataset(tmp_path / 'out')
    assert boxes_by_pixels(result, 'train') == expected
    assert sum(expected.values()) == len(files)


MASK = [[10, 20, 40, 20, 40, 60]]


@pytest.mark.parametrize(
    ('box', 'to', 'kept', 'note'),
    [
        ((1, [50, 50, 10, 10], dict(iscrowd=1)), 'coco', 2, None),
        ((1, [50, 50, 10, 10], dict(iscrowd=1)), 'yolo', 1, '1 x a crowd.* is not written'),
        ((1, [50, 50, 10, 10], dict(iscrowd=1)), 'voc', 2, '1 x a crowd.* is marked as difficult'),
        ((1, [50, 50, 10, 10], dict(ignore=1)), 'yolo', 1, '1 x a crowd.* is not written'),
        ((1, [50, 50, 10, 10], dict(ignore=1)), 'voc', 2, '1 x a crowd.* is marked as difficult'),
        ((1, [90, 70, 15, 15], {}), 'coco', 2, None),
        ((1, [90, 70, 15, 15], {}), 'yolo', 2, '1 x a box is clipped'),
        ((1, [90, 70, 15, 15], {}), 'voc', 2, '1 x a box is clipped'),
        ((1, [-5, 0, 15, 15], {}), 'voc', 2, '1 x a box is clipped'),
        ((1, [120, 70, 15, 15], {}), 'voc', 1, '1 x a box has no area in its image'),
        ((1, [20, 70, 0, 15], dict(area=9)), 'yolo', 1, '1 x a box has no area in its image'),
        ((1, [0.25, 0.25, 0.5, 0.5], {}), 'voc', 1, '1 x a box is inside the first pixel'),
        ((1, [10, 20, 30, 40], dict(segmentation=MASK)), 'coco', 2, None),
        ((1, [10, 20, 30, 40], dict(segmentation=MASK)), 'yolo', 2, '1 x a mask or polygon is not written'),
        ((1, [10, 20, 30, 40], dict(segmentation=MASK)), 'voc', 2, '1 x a mask or polygon is not written'),
    ],
)
def test_unsupported_annotations_are_counted(tmp_path, box, to, kept, note):
    result = convert(data_of(tmp_path / 'data', [BOX, box]), tmp_path / 'out', to)
    assert len(found_boxes(result)) == kept
    lost = [line for line in result.notes if 'the first:' in line]
    assert len(lost) == (note is not None)
    if note:
        assert re.search(f'{note}.*annotation 2|{note}.*a.jpg', lost[0])


def test_difficult_objects_stay_difficult(tmp_path):
    result = convert(data_of(tmp_path / 'data', [BOX, (2, BOX[1], dict(ignore=1))]), tmp_path / 'out', 'voc')
    assert [one.get('ignore', 0) for one in result.splits['train'].annotations['annotations']] == [0, 1]


def test_coco_keeps_masks_ids_and_other_fields(tmp_path):
    root = data_of(
        tmp_path / 'data', [(1, BOX[1], dict(segmentation=MASK, attributes=dict(color='red')))], info=dict(year=2026)
    )
    content = json.loads((root / 'train.json').read_text())
    convert(root, tmp_path / 'out', 'coco')
    written = json.loads((tmp_path / 'out' / 'annotations' / 'instances_train.json').read_text())
    assert written['info'] == dict(year=2026)
    assert written['images'] == content['images']
    assert written['annotations'][0].items() >= content['annotations'][0].items()


def test_voc_reports_or_rejects_white_space_in_names(tmp_path):
    root = data_of(tmp_path / 'data', [BOX], ('a  b', 'c'))
    result = convert(root, tmp_path / 'out', 'voc')
    assert result.classes == ('a b', 'c')
    assert any('white space' in note for note in result.notes)
    with pytest.raises(UserError, match="Two class names differ from 'a b'"):
        convert(data_of(tmp_path / 'twice', [BOX], ('a  b', 'a b')), tmp_path / 'other', 'voc')


@pytest.mark.parametrize(
    ('out', 'words'),
    [
        ('data/new', 'is inside data='),
        ('full', 'exists already and is not empty'),
        ('full/file', 'is a file'),
        ('full/file/new', 'cannot be written'),
    ],
)
def test_rejects_unwritable_folder(tmp_path, out, words):
    root = data_of(tmp_path / 'data', [BOX])
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'file').write_text('')
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(UserError, match=f'out=.*{words}'):
        convert(root, tmp_path / out)
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda root: (root / 'images' / 'a.jpg').unlink(), 'image'),
        (lambda root: (root / 'images' / 'a.jpg').write_bytes(b'\xff\xd8'), 'truncated'),
        (
            lambda root: (root / 'train.json').write_text(
                (root / 'train.json').read_text().replace('"category_id": 1', '"category_id": 9')
            ),
            'category',
        ),
    ],
)
def test_invalid_data_are_rejected_and_nothing_is_written(tmp_path, change, words):
    root = data_of(tmp_path / 'data', [BOX])
    change(root)
    with pytest.raises(UserError, match=words):
        convert(root, tmp_path / 'out')
    assert not list(tmp_path.glob('*out*'))


def test_result_that_reads_back_differently_is_removed(tmp_path, monkeypatch):
    from mmdet_shufflenetv2.data.conversion import target

    monkeypatch.setattr(target.Target, 'boxes', lambda self, *_: iter([target.WrittenBox('cat', (1, 1, 5, 5), False)]))
    monkeypatch.setattr(target.Target, 'record', lambda self, *_: None)
    with pytest.raises(UserError, match='differ from the original and were removed: train: the boxes of'):
        convert(data_of(tmp_path / 'data', [BOX]), tmp_path / 'out', 'yolo')
    assert not (tmp_path / 'out').exists()


def test_the_tool_prints_what_was_written(tool, layout, tmp_path):
    (tmp_path / 'out').mkdir()
    ended = tool('convert.py', layout('yolo'), tmp_path / 'out', '--to', 'voc')
    assert ended.status == 0, ended.err
    assert f'Pascal VOC format in {tmp_path / "out"}, 5 classes' in ended.out
    ended = tool('convert.py', tmp_path / 'data', tmp_path / 'out', '--to', 'voc')
    assert ended.status == 2
    assert f'error: {tmp_path / "out"} exists already' in ended.err


def test_training_reads_the_same_annotations_after_conversion(layout, tmp_path):
    """Annotations are equal except for the names of images, so training is the same."""
    root, prepared = layout('yolo'), []
    for split in ('images', 'labels'):
        for path in (root / split / 'val').iterdir():  # VOC has one folder of images
            path.rename(path.with_name(f'v{path.name}'))
    for to in TARGETS:
        convert(root, tmp_path / to, to)
        data = prepare_user_dataset(read_user_dataset(tmp_path / to), tmp_path / f'{to}_run')
        prepared.append({split: json.loads(Path(file).read_text()) for split, (file, _) in data.splits.items()})
    assert prepared[0] == prepared[1] == prepared[2]
