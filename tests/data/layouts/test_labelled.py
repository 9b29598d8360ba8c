"""Formats of labelling tools: equality with COCO and YOLO, variants in practice, and errors."""

import base64
import contextlib
import json
import random
import re
import shutil
import tracemalloc
import zlib
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import pytest
from mutator import mutate
from own_data_layouts import CLASSES, LABELLED, LAYOUTS

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.data.layouts.find import FORMATS, described_formats, read_user_dataset
from mmdet_shufflenetv2.data.prepared import prepare_user_dataset
from mmdet_shufflenetv2.training.check_dataset import check_dataset

WIDTH, HEIGHT = 100, 80


def write(root, files, images=('a.jpg', 'b.jpg')):
    """Label files by their path, and images of 100 x 80 pixels that differ."""
    for number, name in enumerate(images):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), np.full((HEIGHT, WIDTH, 3), 20 * number, np.uint8))
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        content = content if isinstance(content, (str, bytes)) else json.dumps(content)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def found(root, split='train'):
    """File name -> ``(class name, *box)`` of each annotation."""
    data = read_user_dataset(root)
    annotations = data.splits[split].annotations
    names = {category['id']: category['name'] for category in annotations['categories']}
    return {
        image['file_name']: [
            (names[one['category_id']], *one['bbox'])
            for one in annotations['annotations']
            if one['image_id'] == image['id']
        ]
        for image in annotations['images']
    }


def voc(*objects, more='', header=''):
    """A VOC file of objects: a name and a box, or XML."""
    lines = [
        one
        if isinstance(one, str)
        else '<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}'
        '</xmax><ymax>{}</ymax></bndbox></object>'.format(*one)
        for one in objects
    ]
    return '\n'.join([f'{header}<annotation>{more}', *lines, '</annotation>'])


def labelme(*shapes, **more):
    return dict(dict(version='5.4.1', flags={}, shapes=list(shapes), imagePath='a.jpg'), **more)


def shape(label, points, kind='rectangle', **more):
    return dict(dict(label=label, points=points, shape_type=kind), **more)


def task(image, *result, **more):
    return dict(dict(id=1, data=dict(image=image), annotations=[dict(result=list(result))]), **more)


def region(label, **value):
    return dict(type='rectanglelabels', value=dict(value, rectanglelabels=[label]))


def via_image(*regions):
    return {
        'a.jpg9': dict(
            filename='a.jpg',
            size=9,
            file_attributes={},
            regions=[dict(shape_attributes=one, region_attributes=said) for one, said in regions],
        )
    }


def supervisely(*objects, tags=()):
    return dict(
        description='',
        tags=[dict(name=name) for name in tags],
        size=dict(height=HEIGHT, width=WIDTH),
        objects=list(objects),
    )


def geometry(label, *points, kind='rectangle', **more):
    return dict(classTitle=label, geometryType=kind, points=dict(exterior=[*map(list, points)], interior=[]), **more)


def bitmap(width, height):
    png = cv2.imencode('.png', np.full((height, width, 4), 255, np.uint8))[1]
    return base64.b64encode(zlib.compress(png.tobytes())).decode()


def lines(*records, names=MappingProxyType({0: 'cat', 1: 'dog'})):
    """NDJSON of images: a name, and the fields of its annotations."""
    return '\n'.join(
        map(
            json.dumps,
            [
                dict(type='dataset', task='detect', class_names=dict(names)),
                *(dict(type='image', file=file, split='train', annotations=said) for file, said in records),
            ],
        )
    )


OI = 'ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n'
OI_NAMES = {'class-descriptions-boxable.csv': '/m/02,dog\n/m/01,cat\n/m/03,Unicorn'}
TF = 'filename,width,height,class,xmin,ymin,xmax,ymax\n'
CVAT = '<?xml version="1.0"?>\n<annotations><version>1.1</version>\n{}\n</annotations>'
BOX = ('cat', 11, 21, 40, 60)
XYWH = ('cat', 10, 20, 30, 40)


@pytest.mark.parametrize('name', LABELLED)
def test_formats_are_recognized_by_content(layout, name):
    data = read_user_dataset(layout(name))
    assert data.format == LABELLED[name]
    assert not any(data.faults.values())
    assert {each.name for each in FORMATS} == {'COCO', 'YOLO', *LABELLED.values()}
    assert all(f'{each.name} ' in described_formats() for each in FORMATS)


@pytest.mark.parametrize(
    'name',
    ['roboflow_voc', 'labelme', 'cvat_xml', 'csv_retinanet', 'label_studio', 'via', 'supervisely', 'ndjson', 'dota'],
)
def test_training_reads_the_same_as_from_yolo(shapes_root, tmp_path, name):
    """The annotation files that it reads are equal byte for byte, so everything after them is."""
    prepared = []
    for layout in ('yolo', name):
        LAYOUTS[layout](shapes_root, tmp_path / layout)
        prepared.append(prepare_user_dataset(read_user_dataset(tmp_path / layout), tmp_path / f'{layout}_run'))
    for split in ('train', 'val'):
        (yolo, images), (other, other_images) = (map(Path, each.splits[split]) for each in prepared)
        assert other.read_bytes() == yolo.read_bytes()
        for image in json.loads(other.read_text())['images']:
            assert (images / image['file_name']).read_bytes() == (other_images / image['file_name']).read_bytes()
    assert prepared[0].classes == prepared[1].classes


def test_classes_without_a_list_are_alphabetical(layout):
    root = layout('roboflow_voc')
    (root / 'classes.txt').unlink()
    assert read_user_dataset(root).classes == tuple(sorted(CLASSES))


@pytest.mark.parametrize(
    ('name', 'content'),
    [
        ('labels.txt', '__ignore__\n_background_\ndog\ncat\n'),
        ('label_map.pbtxt', 'item {\n id: 2\n name: \'cat\'\n}\nitem {\n name: "dog"\n id: 1\n}'),
        ('labelmap.txt', '# label:color_rgb:parts:actions\nbackground:0,0,0::\ndog:1,2,3::\ncat:1,2,3::\n'),
        ('predefined_classes.txt', 'dog\r\ncat\r\n'),
    ],
)
def test_class_lists_of_many_tools_give_the_order(tmp_path, name, content):
    root = write(tmp_path / 'data', {'a.xml': voc(BOX), name: content})
    assert read_user_dataset(root).classes == ('dog', 'cat')


# Each: files, and what is found in a.jpg.
AWKWARD = {
    'VOC counts from 1': ({'a.xml': voc(BOX)}, [XYWH]),
    'one that counts from 0': (
        {'a.xml': voc(('cat', 0, 0, 40, 60), BOX)},
        [('cat', 0, 0, 40, 60), ('cat', 11, 21, 29, 39)],
    ),
    'fractions of pixels': ({'a.xml': voc(('cat', 11.25, 21.5, '40.75', ' 60 '))}, [('cat', 10.25, 20.5, 30.5, 39.5)]),
    'tags in capitals': ({'a.xml': voc(BOX).replace('bndbox', 'BndBox').replace('xmin', 'XMin')}, [XYWH]),
    'white space around a class': ({'a.xml': voc((' cat\n', *BOX[1:]))}, [XYWH]),
    'corners exchanged': ({'a.xml': voc(('cat', 40, 60, 11, 21), *[BOX] * 4)}, None),
    'parts of an object': (
        {
            'a.xml': voc(
                '<object><part><name>head</name><bndbox><xmin>1</xmin></bndbox></part><name>cat</name><bndbox><xmin>11</xmin>'
                '<ymin>21</ymin><xmax>40</xmax><ymax>60</ymax></bndbox><truncated>1</truncated></object>'
            )
        },
        [XYWH],
    ),
    'another file name inside': ({'a.xml': voc(BOX, more='<filename>old.jpg</filename>')}, [XYWH]),
    'no file name, size 0': ({'a.xml': voc(BOX, more='<size><width>0</width><height>0</height></size>')}, [XYWH]),
    'a name in another case': ({'A.xml': voc(BOX, more='<filename>A.JPG</filename>')}, [XYWH]),
    'a file name of Windows': ({'x.xml': voc(BOX, more='<filename>C:\\Users\\me\\a.jpg</filename>')}, [XYWH]),
    'XML in UTF-16': ({'a.xml': voc(BOX, header='<?xml version="1.0" encoding="utf-16"?>').encode('utf-16')}, [XYWH]),
    'XML that lies about UTF-16': (
        {'a.xml': voc(BOX, header='<?xml version="1.0" encoding="UTF-8"?>').encode('utf-16')},
        [XYWH],
    ),
    'XML in Latin-1': (
        {'a.xml': voc(('café', *BOX[1:]), header='<?xml version="1.0" encoding="latin-1"?>').encode('latin-1')},
        [('café', *XYWH[1:])],
    ),
    'XML in undeclared Latin-1': ({'a.xml': voc(('café', *BOX[1:])).encode('latin-1')}, [('café', *XYWH[1:])]),
    'XML with a byte order mark': ({'a.xml': voc(BOX).encode('utf-8-sig')}, [XYWH]),
    'LabelMe, all shapes': (
        {
            'a.json': labelme(
                shape('cat', [[40, 60], [10, 20]]),
                shape('cat', [[10, 20], [40, 30], [20, 60]], 'polygon'),
                shape('dog', [[50, 40], [50, 30]], 'circle'),
            )
        },
        [XYWH, XYWH, ('dog', 40, 30, 20, 20)],
    ),
    'LabelMe with a path of Windows': (
        {'json/a.json': labelme(shape('cat', [[10, 20], [40, 60]]), imagePath='..\\a.jpg')},
        [XYWH],
    ),
    'LabelMe with the image in front': (
        {'a.json': dict(imageData='x' * 99_999, **labelme(shape('cat', [[10, 20], [40, 60]])))},
        [XYWH],
    ),
    'LabelMe in UTF-16': ({'a.json': json.dumps(labelme(shape('cat', [[10, 20], [40, 60]]))).encode('utf-16')}, [XYWH]),
    'CSV of TensorFlow': ({'train.csv': f'{TF}a.jpg,100,80,cat,10,20,40,60\n'}, [XYWH]),
    'CSV in another order': (
        {'train.csv': 'xmax;ymax;xmin;ymin;label;Image Path\n40;60;10;20;cat;C:\\d\\a.jpg\n'},
        [XYWH],
    ),
    'CSV of Excel': ({'train.csv': f'\ufeff{TF}"a.jpg",100,80,"cat",10,20,40,60\r\n\r\n'.encode('utf-16')}, [XYWH]),
    'CSV of RetinaNet': ({'train.csv': '/home/me/a.jpg,10,20,40,60,cat\nb.jpg,,,,,\n'}, [XYWH]),
    'CSV whose first image is empty': ({'train.csv': 'b.jpg,,,,,\na.jpg,10,20,40,60,cat\n'}, [XYWH]),
    'CVAT, all shapes': (
        {
            'annotations.xml': CVAT.format(
                '<image id="0" name="a.jpg" width="100" height="80">'
                '<box label="cat" xtl="10" ytl="20" xbr="40" ybr="60"/>'
                '<box label="cat" xtl="30" ytl="20" xbr="50" ybr="60" rotation="90"/>'
                '<polygon label="cat" points="10,20;40,30;20,60"/>'
                '<ellipse label="cat" cx="25" cy="40" rx="15" ry="20"/>'
                '<mask label="cat" rle="1" left="10" top="20" width="30" height="40"/></image>'
            )
        },
        [XYWH, ('cat', 20, 30, 40, 20), XYWH, XYWH, XYWH],
    ),
    'Label Studio, an upload': (
        {'e.json': [task('/data/upload/3/0a1b2c3d-a.jpg', region('cat', x=10, y=25, width=30, height=50))]},
        [XYWH],
    ),
    'Label Studio, an address': (
        {'e.json': [task('https://host/bucket/a.jpg?sig=1', region('cat', x=10, y=25, width=30, height=50))]},
        [XYWH],
    ),
    'Label Studio, turned': (
        {'e.json': [task('a.jpg', region('cat', x=40, y=25, width=40, height=37.5, rotation=90))]},
        [XYWH],
    ),
    'Label Studio, class apart': (
        {
            'e.json': [
                task(
                    'a.jpg',
                    dict(id='i', type='rectangle', value=dict(x=10, y=25, width=30, height=50)),
                    dict(id='i', type='labels', value=dict(x=10, y=25, width=30, height=50, labels=['cat'])),
                )
            ]
        },
        [XYWH],
    ),
    'Label Studio, several annotators': (
        {
            'e.json': [
                task(
                    'a.jpg',
                    annotations=[
                        dict(result=[region('dog', x=1, y=1, width=9, height=9)]),
                        dict(result=[region('cat', x=10, y=25, width=30, height=50)]),
                        dict(result=[], was_cancelled=True),
                    ],
                )
            ]
        },
        [XYWH],
    ),
    'Label Studio, JSON-MIN': (
        {
            'e.json': [
                dict(
                    image='/data/upload/0a1b2c3d-a.jpg',
                    id=1,
                    annotator=1,
                    box=[dict(x=10, y=25, width=30, height=50, rotation=0, rectanglelabels=['cat'])],
                )
            ]
        },
        [XYWH],
    ),
    'VIA, all shapes': (
        {
            'via.json': via_image(
                (dict(name='rect', x=10, y=20, width=30, height=40), dict(type='cat')),
                (dict(name='polygon', all_points_x=[10, 40, 20], all_points_y=[20, 30, 60]), dict(type=dict(cat=True))),
                (dict(name='ellipse', cx=25, cy=40, rx=15, ry=20, theta=0), dict(type='cat')),
                (dict(name='circle', cx=50, cy=40, r=10), dict(type='cat')),
            )
        },
        [XYWH, XYWH, XYWH, ('cat', 40, 30, 20, 20)],
    ),
    'VIA, a project': (
        {
            'p.json': dict(
                _via_settings={},
                _via_img_metadata=via_image((dict(name='rect', x=10, y=20, width=30, height=40), dict(type='cat'))),
            )
        },
        [XYWH],
    ),
    'VIA, no attribute': (
        {'via.json': via_image((dict(name='rect', x=10, y=20, width=30, height=40), {}))},
        [('object', *XYWH[1:])],
    ),
    'Supervisely, all shapes': (
        {
            'meta.json': dict(classes=[dict(title='cat', shape='any')]),
            'ds 1/ann/a.jpg.json': supervisely(
                geometry('cat', (40, 60), (10, 20)),
                geometry('cat', (10, 20), (40, 30), (20, 60), kind='polygon'),
                dict(classTitle='cat', geometryType='bitmap', bitmap=dict(data=bitmap(30, 40), origin=[10, 20])),
            ),
        },
        [XYWH, XYWH, XYWH],
    ),
    'Supervisely without meta.json, and of old': (
        {
            'ann/a.json': supervisely(
                dict(classTitle='cat', type='polygon', points=dict(exterior=[[10, 20], [40, 60.0]])),
                dict(classTitle='cat', bitmap=dict(data=bitmap(30, 40), origin=[10, 20]), points=dict(exterior=[])),
            )
        },
        [XYWH, XYWH],
    ),
    'Open Images, capitals and other columns': (
        {
            **OI_NAMES,
            'train-annotations-bbox.csv': ('LabelName,ImageID,XMax,XMin,YMax,YMin\n/m/01,a,0.4,0.1,0.75,0.25\n')
            .replace('LabelName,ImageID', 'ImageID,LabelName')
            .replace('/m/01,a', 'A,/m/01'),
        },
        [XYWH],
    ),
    'Open Images, most of it elsewhere': (
        {
            **OI_NAMES,
            'train-annotations-bbox.csv': f'{OI}0001eeaf4aed83f9,x,/m/02,1,0,1,0,1,0,0,0,0,0\n'
            'a,x,/m/01,1,0.1,0.4,0.25,0.75,0,0,0,0,0\n',
        },
        [XYWH],
    ),
    'Open Images without descriptions': (
        {'t.csv': f'{OI}a,x,/m/01,1,0.1,0.4,0.25,0.75,0,0,0,0,0\n'},
        [('/m/01', *XYWH[1:])],
    ),
    'NDJSON, segments': ({'d.ndjson': lines(('a.jpg', dict(segments=[[0, 0.1, 0.25, 0.4, 0.3, 0.2, 0.75]])))}, [XYWH]),
    'NDJSON, oriented boxes': (
        {'d.ndjson': lines(('a.jpg', dict(obb=[[0, 0.1, 0.25, 0.4, 0.25, 0.4, 0.75, 0.1, 0.75]])))},
        [XYWH],
    ),
    'NDJSON, poses': ({'d.ndjson': lines(('a.jpg', dict(pose=[[0, 0.25, 0.5, 0.3, 0.5, 0.1, 0.1, 2]])))}, [XYWH]),
    'NDJSON with a path of Windows and empty lines': (
        {
            'd.ndjson': lines(('C:\\d\\a.jpg', dict(boxes=[['0', 0.25, 0.5, 0.3, 0.5]])), ('b.jpg', {})).replace(
                '\n', '\r\n\r\n'
            )
        },
        [XYWH],
    ),
    'DOTA, turned, with fractions': (
        {'labelTxt/a.txt': 'imagesource:GoogleEarth\ngsd:0.146\n10.0 40.5 25.0 20.0 40.0 40.5 25.0 60.0 cat 0\n'},
        [XYWH],
    ),
    'DOTA without header, with commas, in folders of a version': (
        {'labelTxt-v1.5/labelTxt/a.txt': '10,20,40,20,40,60,10,60,cat,0\n'},
        [XYWH],
    ),
    'DOTA beside the images, without difficulty': ({'a.txt': '10 20 40 20 40 60 10 60 cat\r\n'}, [XYWH]),
    'DOTA in labels/, as of MMRotate': ({'labels/a.txt': '10 20 40 20 40 60 10 60 cat 0\n', 'images/.x': ''}, [XYWH]),
    "DOTA with Roboflow's yaml": (
        {
            'train/labelTxt/a.txt': '10 20 40 20 40 60 10 60 cat 0\n',
            'data.yaml': 'train: ../train/images\nval: ../valid/images\nnc: 1\nnames: [cat]\n',
        },
        [XYWH],
    ),
    'CreateML': (
        {
            'c.json': [
                dict(image='a.jpg', annotations=[dict(label='cat', coordinates=dict(x=25, y=40, width=30, height=40))])
            ]
        },
        [XYWH],
    ),
}


@pytest.mark.parametrize('case', AWKWARD)
def test_reads_variants_of_tools_and_people(tmp_path, case):
    files, expected = AWKWARD[case]
    boxes = found(write(tmp_path / 'data', files))['a.jpg']
    assert boxes == ([XYWH] * 5 if expected is None else expected)
    assert check_dataset(tmp_path / 'data')[0].fatal == []


def test_difficult_objects_are_ignored_and_truncated_ones_are_not(tmp_path):
    objects = [
        voc(BOX).split('\n')[1].replace('</name>', f'</name><{flag}>1</{flag}>') for flag in ('difficult', 'truncated')
    ]
    data = read_user_dataset(write(tmp_path / 'data', {'a.xml': voc(*objects), 'b.xml': voc(BOX)}))
    assert [one.get('ignore', 0) for one in data.splits['train'].annotations['annotations']] == [1, 0, 0]
    report = check_dataset(tmp_path / 'data')[0]
    assert report.learned == 2
    assert not report.fatal


@pytest.mark.parametrize(
    'files',
    [
        {**OI_NAMES, 't.csv': f'{OI}a,x,/m/01,1,.1,.4,.2,.6,0,0,0,0,0\na,x,/m/01,1,.1,.5,.2,.7,0,0,1,0,0'},
        {'labelTxt/a.txt': '10 20 40 20 40 60 10 60 cat 0\n10 20 50 20 50 60 10 60 cat 1\n'},
    ],
)
def test_groups_and_difficult_objects_of_other_formats_are_ignored(tmp_path, files):
    data = read_user_dataset(write(tmp_path / 'data', files))
    assert [one.get('ignore', 0) for one in data.splits['train'].annotations['annotations']] == [0, 1]


def test_missing_open_images_are_counted_and_unused_classes_dropped(tmp_path):
    data = read_user_dataset(
        write(
            tmp_path / 'data',
            {**OI_NAMES, 't.csv': f'{OI}zz,x,/m/01,1,.1,.4,.2,.6,0,0,0,0,0\na,x,/m/01,1,.1,.4,.2,.6,0,0,0,0,0'},
        )
    )
    assert data.classes == ('cat',)
    assert any('1 listed images are missing' in note and 't.csv:2' in note for note in data.notes)


def test_huge_mask_is_not_decoded(tmp_path):
    png = cv2.imencode('.png', np.full((40, 30), 255, np.uint8))[1].tobytes()
    bomb = base64.b64encode(zlib.compress(png + bytes(1 << 28), 9)).decode()
    data = supervisely(dict(classTitle='cat', geometryType='bitmap', bitmap=dict(data=bomb, origin=[10, 20])))
    tracemalloc.start()
    try:
        assert found(write(tmp_path / 'data', {'ann/a.jpg.json': data}))['a.jpg'] == [XYWH]
        assert tracemalloc.get_traced_memory()[1] < 1 << 26
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ('files', 'images', 'splits'),
    [
        (
            {
                'ds/ann/a.jpg.json': supervisely(geometry('cat', (1, 2), (30, 40)), tags=['train']),
                'ds/ann/b.jpg.json': supervisely(tags=['my tag', 'val']),
            },
            ('ds/img/a.jpg', 'ds/img/b.jpg'),
            {'train': ['a.jpg'], 'val': ['b.jpg']},
        ),
        (
            {
                'Annotations/a.xml': voc(BOX),
                'Annotations/b.xml': voc(BOX),
                'ImageSets/Main/train.txt': 'a 1\n',
                'ImageSets/Main/val.txt': 'b\n',
                'ImageSets/Main/cat_train.txt': 'b 1\n',
            },
            ('JPEGImages/a.jpg', 'JPEGImages/b.jpg'),
            {'train': ['a.jpg'], 'val': ['b.jpg']},
        ),
        (
            {'Annotations/a.xml': voc(BOX), 'ImageSets/Main/trainval.txt': 'a\n', 'ImageSets/Main/test.txt': 'b\n'},
            ('JPEGImages/a.jpg', 'JPEGImages/b.jpg'),
            {'train': ['a.jpg']},
        ),
        ({'Annotations/a.xml': voc(BOX)}, ('JPEGImages/a.jpg', 'SegmentationClass/a.png'), {'train': ['a.jpg']}),
        (
            {'train/a.xml': voc(BOX), 'valid/a.xml': voc(BOX)},
            ('train/a.jpg', 'valid/a.jpg'),
            {'train': ['a.jpg'], 'val': ['a.jpg']},
        ),
        ({'labels/a.xml': voc(BOX)}, ('images/a.jpg',), {'train': ['a.jpg']}),
        (
            {'labels/test_1.xml': voc(BOX), 'labels/val_2.xml': voc(BOX)},
            ('images/test_1.jpg', 'images/val_2.jpg'),
            {'train': ['test_1.jpg', 'val_2.jpg']},
        ),
        ({'data.csv': f'{TF}test_1.jpg,100,80,cat,10,20,40,60'}, ('images/test_1.jpg',), {'train': ['test_1.jpg']}),
        (
            {
                'annotations.xml': CVAT.format(
                    '<image id="0" name="a.jpg" subset="Train">'
                    '<box label="cat" xtl="1" ytl="2" xbr="40" ybr="60"/></image>'
                    '<image id="1" name="b.jpg" subset="Validation"/>'
                )
            },
            ('images/a.jpg', 'images/b.jpg'),
            {'train': ['a.jpg'], 'val': ['b.jpg']},
        ),
        (
            {
                'data/train_labels.csv': f'{TF}a.jpg,100,80,cat,10,20,40,60',
                'data/test_labels.csv': f'{TF}a.jpg,100,80,cat,10,20,40,60',
            },
            ('images/train/a.jpg', 'images/test/a.jpg'),
            {'train': ['a.jpg'], 'test': ['a.jpg']},
        ),
    ],
)
def test_lists_folders_and_file_names_determine_splits(tmp_path, files, images, splits):
    data = read_user_dataset(write(tmp_path / 'data', files, images))
    assert {
        split: [image['file_name'] for image in one.annotations['images']] for split, one in data.splits.items()
    } == splits
    assert not any(data.faults.values())


@pytest.mark.parametrize(
    ('name', 'content'),
    [
        ('environment.yml', 'dependencies:\n- python\n'),
        ('package.json', '{"name": "x"}'),
        ('settings.xml', '<settings/>'),
        ('broken.yaml', '{'),
        ('broken.json', '{'),
        ('broken.xml', '<'),
        ('prices.csv', 'day,price\n1,2\n'),
        ('labels.json', '{"0": "cat"}'),
        ('train_config.json', '{"lr": 1}'),
    ],
)
@pytest.mark.parametrize('layout_name', ['yolo', 'coco', *LABELLED])
def test_unrelated_files_are_skipped(layout, layout_name, name, content):
    root = layout(layout_name)
    expected = read_user_dataset(root)
    (root / name).write_text(content)
    data = read_user_dataset(root)
    assert (data.splits, data.faults, data.classes) == (expected.splits, expected.faults, expected.classes)


@pytest.mark.parametrize(
    ('layout_name', 'name'),
    [('labelme', 'package.json'), ('voc', 'pom.xml'), ('csv_tensorflow', 'prices.csv'), ('coco', 'train_config.json')],
)
def test_skipped_files_are_reported(layout, layout_name, name):
    root = layout(layout_name)
    (root / name).write_text('<project/>' if name.endswith('xml') else '{"lr": 1}')
    assert any(name in note and 'skipped' in note for note in read_user_dataset(root).notes)


# Files, the problem, whether it is fatal, and words of its example.
BAD = {
    'a coordinate that is not a number': (
        {'a.xml': voc(BOX, ('cat', 'x', 1, 2, 3))},
        'label_line',
        True,
        "a.xml:3: .*'x'",
    ),
    'a coordinate that is missing': (
        {'a.xml': voc(BOX).replace('<xmax>40</xmax>', '')},
        'label_line',
        True,
        'a.xml:2: ',
    ),
    'a coordinate that is NaN': (
        {'t.csv': f'{TF}a.jpg,100,80,cat,nan,20,40,60'},
        'label_line',
        True,
        "t.csv:2: .*'nan'",
    ),
    'no box': ({'a.xml': voc(BOX, '<object><name>cat</name></object>')}, 'label_line', True, 'a.xml:3: .*no bndbox'),
    'no class': ({'a.xml': voc(BOX, ('', *BOX[1:]))}, 'label_line', True, 'a.xml:3: a box has no class'),
    'fractions among pixels': (
        {'a.xml': voc(BOX), 't.csv': ''} | {'b.xml': voc(('cat', 0.1, 0.1, 0.5, 0.5))},
        'box_fractions',
        True,
        'b.xml:2: .*Multiply x by the width',
    ),
    'width and height for corners': (
        {'t.csv': 'a.jpg,50,40,10,12,cat\na.jpg,60,10,20,20,cat\na.jpg,5,5,30,30,cat\na.jpg,70,40,20,9,cat\n'},
        'box_sides',
        True,
        '3 of 4 .*t.csv:1',
    ),
    'boxes of a larger image': (
        {'a.xml': voc(('cat', 40, 30, 300, 200), ('cat', 90, 70, 400, 300))},
        'box_scale',
        True,
        '2 of 2, the first is .*a.xml:2',
    ),
    'a box that reaches outside': (
        {'a.xml': voc(BOX, ('cat', 60, 60, 109, 80))},
        'box_cut',
        False,
        r'a.xml:3: \(59, 59, 109, 80\) in 100 x 80',
    ),
    'a box beside its image': ({'a.xml': voc(BOX, ('cat', 160, 60, 190, 80))}, 'box_beside', False, 'a.xml:3'),
    'a box without area': (
        {'t.csv': f'{TF}a.jpg,100,80,cat,1,1,9,9\na.jpg,100,80,cat,10,20,10,60'},
        'box_flat',
        False,
        't.csv:3',
    ),
    'corners exchanged': ({'a.xml': voc(*[BOX] * 4, ('cat', 40, 60, 11, 21))}, 'box_swapped', False, 'a.xml:6'),
    'a class that is not listed': (
        {'a.xml': voc(BOX, ('Cat', *BOX[1:])), 'classes.txt': 'cat\ndog\n'},
        'class_unknown',
        True,
        "a.xml:3: 'Cat', expected 'cat'",
    ),
    'XML that ends early': (
        {'a.xml': voc(BOX), 'b.xml': voc(BOX)[:60]},
        'label_file',
        True,
        'b.xml:2: is not valid XML',
    ),
    'an empty file': ({'a.xml': voc(BOX), 'b.xml': ''}, 'label_file', True, 'b.xml:1: is not valid XML'),
    'JSON that ends early': (
        {'a.json': labelme(shape('cat', [[1, 2], [30, 40]])), 'b.json': json.dumps(labelme())[:-5]},
        'label_file',
        True,
        'b.json:1: is not valid JSON',
    ),
    'entities': (
        {
            'a.xml': voc(BOX),
            'b.xml': voc(('&b;', *BOX[1:]), header='<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n'),
        },
        'label_file',
        True,
        'b.xml:1: declares XML entities',
    ),
    'an external entity': (
        {
            'a.xml': voc(BOX),
            'b.xml': voc(('&b;', *BOX[1:]), header='<!DOCTYPE x [<!ENTITY b SYSTEM "file:///etc/passwd">]>\n'),
        },
        'label_file',
        True,
        'b.xml:1: declares XML entities',
    ),
    'elements without end': ({'a.xml': voc(BOX), 'b.xml': '<annotation>' + '<a>' * 9999}, 'label_file', True, 'nested'),
    'lists without end': (
        {'a.json': labelme(shape('cat', [[1, 2], [30, 40]])), 'b.json': '{"shapes": [' + '[' * 99_999 + '"version"'},
        'label_file',
        True,
        'b.json.*is not valid JSON',
    ),
    'a path that leaves the folder': (
        {'t.csv': f'{TF}a.jpg,100,80,cat,10,20,40,60\n../secret.jpg,9,9,cat,1,1,5,5'},
        'leaves_folder',
        True,
        r"t.csv:3: '../secret.jpg'",
    ),
    'an image that is missing': (
        {'t.csv': f'{TF}a.jpg,100,80,cat,10,20,40,60\nc.jpg,9,9,cat,1,1,5,5'},
        'image_missing',
        True,
        "t.csv:3: 'c.jpg' is not in",
    ),
    'labels without image': (
        {'a.xml': voc(BOX), 'c.xml': voc(BOX)},
        'label_without_image',
        False,
        'c.xml: no image of this name',
    ),
    'an image without labels': ({'a.xml': voc(BOX)}, 'image_without_label', False, 'b.jpg'),
    'an image that a list alone names': (
        {'a.xml': voc(BOX), 'ImageSets/Main/train.txt': 'a\nb\n'},
        'image_without_label',
        False,
        'train.txt:2: b',
    ),
    'an image listed twice': ({'a.xml': voc(BOX), 'ImageSets/Main/train.txt': 'a\na\n'}, 'image_twice', False, 'a.jpg'),
    'another size': (
        {'a.xml': voc(BOX, more='<size><width>80</width><height>100</height></size>')},
        'image_size',
        True,
        '100 x 80, stated 80 x 100',
    ),
    'a shape that has no box': (
        {'a.json': labelme(shape('cat', [[1, 2], [30, 40]]), shape('x', [[1, 1]], 'point'))},
        'shape_left_out',
        False,
        r"a.json: shapes\[1\] is a 'point'",
    ),
    'a line too short': (
        {'t.csv': f'{TF}a.jpg,100,80,cat,10,20,40,60\na.jpg,1'},
        'label_line',
        True,
        't.csv:3: 2 cells',
    ),
    'a box half empty': (
        {'t.csv': f'{TF}a.jpg,100,80,cat,10,20,40,60\na.jpg,100,80,cat,,1,2,3'},
        'label_line',
        True,
        't.csv:3',
    ),
    'a task without annotations': (
        {'e.json': [task('a.jpg', region('cat', x=1, y=1, width=9, height=9)), task('b.jpg', annotations=[])]},
        'image_without_label',
        False,
        "task 1: 'b.jpg' has no",
    ),
    'a shape of Supervisely that has no box': (
        {'ds/ann/a.jpg.json': supervisely(geometry('cat', (1, 2), (30, 40)), geometry('cat', (1, 1), kind='point'))},
        'shape_left_out',
        False,
        r"a.jpg.json: objects\[1\] is a 'point'",
    ),
    'a class that the project does not have': (
        {
            'meta.json': dict(classes=[dict(title='cat', shape='any')]),
            'ds/ann/a.jpg.json': supervisely(geometry('cat', (1, 2), (30, 40)), geometry('Cat', (1, 2), (30, 40))),
        },
        'class_unknown',
        True,
        r"objects\[1\]: 'Cat', expected 'cat'",
    ),
    'JSON of Supervisely that ends early': (
        {'ds/ann/a.jpg.json': supervisely(geometry('cat', (1, 2), (30, 40))), 'ds/ann/b.jpg.json': '{"objects": ['},
        'label_file',
        True,
        'b.jpg.json:1: is not valid JSON',
    ),
    'a mask that is none': (
        {
            'ds/ann/a.jpg.json': supervisely(
                geometry('cat', (1, 2), (30, 40)),
                dict(classTitle='cat', geometryType='bitmap', bitmap=dict(data='eJw=', origin=[1, 2])),
            )
        },
        'label_line',
        True,
        r'objects\[1\]: a coordinate is nan',
    ),
    'pixels in Open Images': (
        {**OI_NAMES, 't.csv': f'{OI}a,x,/m/01,1,10,40,20,60,0,0,0,0,0'},
        'box_scale',
        True,
        't.csv:2',
    ),
    'an id of a class without name': (
        {**OI_NAMES, 't.csv': f'{OI}a,x,/m/01,1,.1,.4,.2,.6,0,0,0,0,0\na,x,/m/0x,1,.1,.4,.2,.6,0,0,0,0,0'},
        'class_unknown',
        True,
        "t.csv:3: '/m/0x'",
    ),
    'a line of Open Images that is short': (
        {'t.csv': f'{OI}a,x,/m/01,1,.1,.4,.2,.6,0,0,0,0,0\na,x,/m/01'},
        'label_line',
        True,
        't.csv:3: 3 cells',
    ),
    'a line of NDJSON that is none': (
        {'d.ndjson': lines(('a.jpg', dict(boxes=[[0, 0.5, 0.5, 0.2, 0.2]]))) + '\n{"type"'},
        'label_line',
        True,
        'd.ndjson:3: is not valid JSON',
    ),
    'a number of a class that is not listed': (
        {'d.ndjson': lines(('a.jpg', dict(boxes=[[0, 0.5, 0.5, 0.2, 0.2], [7, 0.5, 0.5, 0.2, 0.2]])))},
        'class_unknown',
        True,
        r"d.ndjson:2, boxes\[1\]: '7', expected cat, dog",
    ),
    'pixels in NDJSON': (
        {'d.ndjson': lines(('a.jpg', dict(boxes=[[0, 25, 40, 30, 40]])))},
        'box_scale',
        True,
        'd.ndjson:2',
    ),
    'NDJSON of an image that is not there': (
        {'d.ndjson': lines(('a.jpg', dict(boxes=[[0, 0.5, 0.5, 0.2, 0.2]])), ('c.jpg', {}))},
        'image_missing',
        True,
        "d.ndjson:3: 'c.jpg'",
    ),
    'NDJSON of a path that leaves the folder': (
        {'d.ndjson': lines(('a.jpg', dict(boxes=[[0, 0.5, 0.5, 0.2, 0.2]])), ('../secret.jpg', {}))},
        'leaves_folder',
        True,
        'd.ndjson:3',
    ),
    'NDJSON that lists an image twice': (
        {'d.ndjson': lines(*[('a.jpg', dict(boxes=[[0, 0.5, 0.5, 0.2, 0.2]]))] * 2)},
        'image_twice',
        False,
        'd.ndjson:3',
    ),
    'a line of DOTA that is short': (
        {'labelTxt/a.txt': '10 20 40 20 40 60 10 60 cat 0\n10 20 40 20 cat 0\n'},
        'label_line',
        True,
        "a.txt:2: '10 20 40 20 cat 0', expected eight",
    ),
    'a coordinate of DOTA that is not a number': (
        {'labelTxt/a.txt': '10 20 40 20 40 60 10 60 cat 0\n10 x 40 20 40 60 10 60 cat 0\n'},
        'label_line',
        True,
        'a.txt:2: .*nan',
    ),
    'labels of DOTA without image': (
        {'labelTxt/a.txt': '10 20 40 20 40 60 10 60 cat 0\n', 'labelTxt/c.txt': '10 20 40 20 40 60 10 60 cat 0\n'},
        'label_without_image',
        False,
        'c.txt',
    ),
    'per cent that are none': (
        {
            'e.json': [
                task('a.jpg', region('cat', x=1, y=1, width=9, height=9), region('cat', x='?', y=1, width=2, height=3))
            ]
        },
        'label_line',
        True,
        'task 0, result 1: .* nan',
    ),
}


@pytest.mark.parametrize('case', BAD)
def test_problems_are_counted_with_file_and_line(tmp_path, case):
    files, problem, fatal, words = BAD[case]
    report = check_dataset(write(tmp_path / 'data', files))[0]
    assert problem in report.found, report
    assert report.found[problem] == 1
    assert (problem in report.fatal) == fatal

    assert re.search(words, report.examples[problem][0]), report.examples[problem]
    if fatal and problem != 'image_size':
        with pytest.raises(UserError, match='To list all problems: snv2 check-data'):
            prepare_user_dataset(read_user_dataset(tmp_path / 'data'), tmp_path / 'run')


@pytest.mark.parametrize(
    ('files', 'words'),
    [
        (
            {'a.xml': voc(BOX)},
            'none of its 1 images was found: the first is .a. .*a.xml.*name the parent folder: data=',
        ),
        (
            {'e.json': [task('/data/upload/1/0a1b2c3d-a.jpg', region('cat', x=1, y=1, width=9, height=9))]},
            'none of its 1 images was found: the first is ./data/upload.*Put them into .*images',
        ),
        ({'annotations.xml': CVAT.format('<track id="0" label="cat"/>')}, 'CVAT for video.*images 1.1'),
        ({'val/t.csv': f'{TF}a.jpg,9,9,cat,1,1,5,5'}, 'none of its 1 images'),
    ],
)
def test_unusable_data_are_reported_with_the_remedy(tmp_path, files, words):
    with pytest.raises(UserError, match=words):
        read_user_dataset(write(tmp_path / 'data', files, ()))


def test_ambiguous_image_names_are_an_error(tmp_path):
    root = write(
        tmp_path / 'data',
        {'all.csv': f'{TF}a.jpg,100,80,cat,10,20,40,60\nb.jpg,100,80,cat,1,1,9,9'},
        ('one/a.jpg', 'two/a.jpg', 'two/b.jpg'),
    )
    report = check_dataset(root)[0]
    assert 'image_ambiguous' in report.fatal
    assert 'all.csv:2' in report.examples['image_ambiguous'][0]


def test_boxes_of_duplicate_entries_are_merged(tmp_path):
    other = region('dog', x=1, y=1, width=9, height=9)
    root = write(
        tmp_path / 'data',
        {
            'e.json': [
                task('a.jpg', region('cat', x=10, y=25, width=30, height=50)),
                task('a.jpg', region('cat', x=10, y=25, width=30, height=50), other),
            ]
        },
    )
    assert [name for name, *_ in found(root)['a.jpg']] == ['cat', 'dog']


def test_images_outside_the_folder_are_not_opened(tmp_path):
    write(tmp_path, {}, ('secret.jpg',))
    for name in ('../secret.jpg', str(tmp_path / 'secret.jpg')):
        root = tmp_path / 'data'
        write(root, {'t.csv': f'{TF}a.jpg,100,80,cat,10,20,40,60\n{name},100,80,cat,1,1,50,50'})
        data = read_user_dataset(root)
        assert [image['file_name'] for image in data.splits['train'].annotations['images']] == ['a.jpg']
        assert 'leaves_folder' in dict(data.faults['train'])
        shutil.rmtree(root)


def test_classes_that_differ_only_in_case_are_reported(tmp_path):
    root = write(tmp_path / 'data', {'a.xml': voc(BOX, ('Cat', *BOX[1:]))})
    assert any("'Cat' and 'cat' are different classes" in note for note in read_user_dataset(root).notes)


@pytest.mark.parametrize('name', LABELLED)
def test_any_file_gives_data_or_one_error(layout, name):
    root = layout(name)
    rng = random.Random(0)
    files = [path for path in sorted(root.rglob('*')) if path.suffix in ('.xml', '.json', '.ndjson', '.csv', '.txt')]
    for _ in range(40):
        path = rng.choice(files)
        before = path.read_bytes()
        if path.suffix == '.json':
            content = json.loads(before)
            mutate(content, rng)
            with contextlib.suppress(ValueError):  # put into itself
                path.write_text(json.dumps(content))
        else:
            damaged = bytearray(before)
            for _ in range(rng.randint(1, 4)):
                place = rng.randrange(len(damaged))
                damaged[place : place + rng.choice((0, 1, 30))] = rng.choice(
                    (b'', b'<', b'"', b',', b'nan', b'-1', b'\0', b'\xff', b'1' * 400, b'\n', b'&x;', b'e999')
                )
            path.write_bytes(damaged)
        with contextlib.suppress(UserError):
            check_dataset(root)
        path.write_bytes(before)
