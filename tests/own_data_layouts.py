"""Shapes in the layouts that other tools export, and worse files; for the tests of ``own_data`` and ``datasets``."""

import copy
import csv
import functools
import json
import shutil
import struct
import zlib

from conftest import ROOT


@functools.cache
def _read(name):
    from mmdet_shufflenetv2.config.load import load_config

    return load_config(ROOT / 'configs' / f'{name}.py')


def loaded(name):
    """A config of the project, to be changed; reading it again takes a second."""
    return copy.deepcopy(_read(name))


CLASSES = ('circle', 'square', 'triangle', 'star', 'cross')
SPLITS = {'train2017': 'train', 'val2017': 'val'}


def annotations_of(shapes_root, split):
    return json.loads((shapes_root / 'annotations' / f'instances_{split}.json').read_text())


def write_labels(annotations, folder, polygons=False):
    """YOLO's label files; polygons are the boxes' corners."""
    folder.mkdir(parents=True)
    for image in annotations['images']:
        lines = []
        for annotation in annotations['annotations']:
            if annotation['image_id'] == image['id']:
                (x, y, w, h), (width, height) = annotation['bbox'], (image['width'], image['height'])
                numbers = (
                    [
                        x / width,
                        y / height,
                        (x + w) / width,
                        y / height,
                        (x + w) / width,
                        (y + h) / height,
                        x / width,
                        (y + h) / height,
                    ]
                    if polygons
                    else [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
                )
                lines.append(' '.join(map(str, [annotation['category_id'] - 1, *numbers])))
        (folder / image['file_name']).with_suffix('.txt').write_text('\n'.join(lines))


def coco(shapes_root, root):
    shutil.copytree(shapes_root, root)


def roboflow_coco(shapes_root, root):
    for split, name in (('train2017', 'train'), ('val2017', 'valid')):
        shutil.copytree(shapes_root / split, root / name)
        content = annotations_of(shapes_root, split)
        content['categories'].insert(0, dict(id=0, name='shape', supercategory='none'))
        for annotation in content['annotations']:
            del annotation['area']
        (root / name / '_annotations.coco.json').write_text(json.dumps(content))


def cvat_coco(shapes_root, root):
    (root / 'annotations').mkdir(parents=True)
    for split, name in (('train2017', 'Train'), ('val2017', 'Validation')):
        shutil.copytree(shapes_root / split, root / 'images' / name)
        shutil.copy(
            shapes_root / 'annotations' / f'instances_{split}.json', root / 'annotations' / f'instances_{name}.json'
        )


def yolo(shapes_root, root):
    for split, name in SPLITS.items():
        shutil.copytree(shapes_root / split, root / 'images' / name)
        write_labels(annotations_of(shapes_root, split), root / 'labels' / name)
    names = '\n'.join(f'  {number}: {name}' for number, name in enumerate(CLASSES))
    (root / 'data.yaml').write_text(
        f'path: /home/somebody/{root.name}\ntrain: images/train\nval: images/val\nnames:\n{names}\n'
    )


def roboflow_yolo(shapes_root, root):
    for split, name in (('train2017', 'train'), ('val2017', 'valid')):
        shutil.copytree(shapes_root / split, root / name / 'images')
        write_labels(annotations_of(shapes_root, split), root / name / 'labels', polygons=True)
    (root / 'data.yaml').write_text(
        f'train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 5\nnames: [{", ".join(CLASSES)}]\n'
    )


def yolo_lists(shapes_root, root):
    yolo(shapes_root, root)
    for name in SPLITS.values():
        (root / f'{name}.txt').write_text(
            '\n'.join(f'./images/{name}/{path.name}' for path in sorted((root / 'images' / name).iterdir()))
        )
    (root / 'data.yaml').write_text(f'train: train.txt\nval: [val.txt]\nnames: [{", ".join(CLASSES)}]\n')


def cvat_ultralytics(shapes_root, root):
    yolo(shapes_root, root)
    for name in SPLITS.values():
        (root / f'{name}.txt').write_text(
            '\n'.join(f'data/images/{name}/{path.name}' for path in sorted((root / 'images' / name).iterdir()))
        )
    names = '\n'.join(f'  {number}: {name}' for number, name in enumerate(CLASSES))
    (root / 'data.yaml').write_text(f'names:\n{names}\npath: .\ntrain: train.txt\nval: val.txt\n')


def cvat_yolo(shapes_root, root):
    """CVAT's YOLO 1.1, which is Darknet's: labels beside the images."""
    for split, name in (('train2017', 'train'), ('val2017', 'valid')):
        folder = root / f'obj_{name}_data'
        write_labels(annotations_of(shapes_root, split), folder)
        shutil.copytree(shapes_root / split, folder, dirs_exist_ok=True)
        (root / f'{name}.txt').write_text(
            '\n'.join(f'data/{folder.name}/{path.name}' for path in sorted(folder.glob('*.jpg')))
        )
    (root / 'obj.names').write_text('\n'.join([*CLASSES, '']))
    (root / 'obj.data').write_text(
        'classes = 5\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\nbackup = backup/\n'
    )


def corners(annotation):
    x, y, w, h = annotation['bbox']
    return x, y, x + w, y + h


def each_image(shapes_root, split):
    """Each image of a split, with its boxes as ``(class name, (x1, y1, x2, y2))``."""
    content = annotations_of(shapes_root, split)
    for image in content['images']:
        yield (
            image,
            [
                (CLASSES[one['category_id'] - 1], corners(one))
                for one in content['annotations']
                if one['image_id'] == image['id']
            ],
        )


def voc_xml(image, boxes):
    """VOC's coordinates start at 1, and the last pixel of a box is part of it."""
    objects = ''.join(
        f'<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin>'
        f'<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>\n'
        for name, (x1, y1, x2, y2) in boxes
    )
    return (
        f'<annotation>\n<filename>{image["file_name"]}</filename>\n<size><width>{image["width"]}</width>'
        f'<height>{image["height"]}</height><depth>3</depth></size>\n{objects}</annotation>\n'
    )


def copy_images(shapes_root, root, below='images/'):
    for split, name in SPLITS.items():
        shutil.copytree(shapes_root / split, root / f'{below}{name}')
    (root / 'classes.txt').write_text('\n'.join(CLASSES))


def voc(shapes_root, root):
    """VOC's own folders; images of two splits may not have one name there."""
    for folder in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
        (root / folder).mkdir(parents=True)
    for split, name in SPLITS.items():
        stems = []
        for image, boxes in each_image(shapes_root, split):
            stems.append(image['file_name'][:-4] if name == 'train' else f'v{image["file_name"][:-4]}')
            shutil.copy(shapes_root / split / image['file_name'], root / 'JPEGImages' / f'{stems[-1]}.jpg')
            (root / 'Annotations' / f'{stems[-1]}.xml').write_text(voc_xml(image, boxes))
        (root / 'ImageSets' / 'Main' / f'{name}.txt').write_text('\n'.join(stems))
    (root / 'classes.txt').write_text('\n'.join(CLASSES))


def roboflow_voc(shapes_root, root):
    """VOC's files beside the images."""
    copy_images(shapes_root, root)
    for split, name in SPLITS.items():
        for image, boxes in each_image(shapes_root, split):
            (root / 'images' / name / image['file_name']).with_suffix('.xml').write_text(voc_xml(image, boxes))


def labelme(shapes_root, root):
    copy_images(shapes_root, root, '')
    for split, name in SPLITS.items():
        for image, boxes in each_image(shapes_root, split):
            shapes = [
                dict(label=label, shape_type='rectangle', points=[[x2, y2], [x1, y1]], flags={})
                for label, (x1, y1, x2, y2) in boxes
            ]
            (root / name / image['file_name']).with_suffix('.json').write_text(
                json.dumps(
                    dict(
                        version='5.4.1',
                        flags={},
                        shapes=shapes,
                        imagePath=image['file_name'],
                        imageData=None,
                        imageWidth=image['width'],
                        imageHeight=image['height'],
                    )
                )
            )


def csv_tensorflow(shapes_root, root):
    copy_images(shapes_root, root)
    for split, name in SPLITS.items():
        lines = [
            f'{image["file_name"]},{image["width"]},{image["height"]},{label},{",".join(map(str, box))}'
            for image, boxes in each_image(shapes_root, split)
            for label, box in boxes
        ]
        (root / f'{name}_labels.csv').write_text('\n'.join(['filename,width,height,class,xmin,ymin,xmax,ymax', *lines]))


def csv_retinanet(shapes_root, root):
    copy_images(shapes_root, root)
    (root / 'classes.txt').unlink()
    (root / 'classes.csv').write_text('\n'.join(f'{name},{number}' for number, name in enumerate(CLASSES)))
    for split, name in SPLITS.items():
        lines = [
            line
            for image, boxes in each_image(shapes_root, split)
            for line in (
                [f'images/{name}/{image["file_name"]},{",".join(map(str, box))},{label}' for label, box in boxes]
                or [f'images/{name}/{image["file_name"]},,,,,']
            )
        ]
        (root / f'{name}.csv').write_text('\n'.join(lines))


def cvat_xml(shapes_root, root):
    copy_images(shapes_root, root)
    (root / 'classes.txt').unlink()
    labels = ''.join(f'<label><name>{name}</name><type>any</type></label>\n' for name in CLASSES)
    images = ''.join(
        f'<image id="{image["id"]}" name="{image["file_name"]}" subset="{name}" width="{image["width"]}" '
        f'height="{image["height"]}">\n'
        + ''.join(
            f'<box label="{label}" occluded="0" xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}" z_order="0"></box>\n'
            for label, (x1, y1, x2, y2) in boxes
        )
        + '</image>\n'
        for split, name in SPLITS.items()
        for image, boxes in each_image(shapes_root, split)
    )
    (root / 'annotations.xml').write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>'
        f'<version>1.1</version><meta><task><labels>{labels}</labels></task></meta>\n{images}</annotations>'
    )


def percent(box, image):
    (x1, y1, x2, y2), (width, height) = box, (image['width'], image['height'])
    return dict(
        x=100 * x1 / width,
        y=100 * y1 / height,
        width=100 * (x2 - x1) / width,
        height=100 * (y2 - y1) / height,
        rotation=0,
    )


def label_studio(shapes_root, root):
    copy_images(shapes_root, root)
    for split, name in SPLITS.items():
        tasks = []
        for image, boxes in each_image(shapes_root, split):
            size = dict(original_width=image['width'], original_height=image['height'])
            result = [
                dict(
                    size,
                    id=str(number),
                    type='rectanglelabels',
                    value=dict(percent(box, image), rectanglelabels=[label]),
                )
                for number, (label, box) in enumerate(boxes)
            ]
            tasks.append(
                dict(
                    id=image['id'],
                    data=dict(image=f'/data/upload/1/0a1b2c3d-{image["file_name"]}'),
                    annotations=[dict(was_cancelled=False, result=result)],
                )
            )
        (root / f'{name}_project.json').write_text(json.dumps(tasks))


def label_studio_min(shapes_root, root):
    copy_images(shapes_root, root)
    for split, name in SPLITS.items():
        address = f'http://localhost:8080/data/local-files/?d=images/{name}'
        tasks = [
            dict(
                id=image['id'],
                image=f'{address}/{image["file_name"]}',
                annotator=1,
                label=[
                    dict(
                        percent(box, image),
                        rectanglelabels=[label],
                        original_width=image['width'],
                        original_height=image['height'],
                    )
                    for label, box in boxes
                ],
            )
            for image, boxes in each_image(shapes_root, split)
        ]
        (root / f'{name}.json').write_text(json.dumps(tasks))


def via_regions(boxes):
    return [
        (dict(name='rect', x=x1, y=y1, width=x2 - x1, height=y2 - y1), dict(type=label))
        for label, (x1, y1, x2, y2) in boxes
    ]


def via(shapes_root, root):
    copy_images(shapes_root, root, '')
    for split, name in SPLITS.items():
        (root / name / 'via_region_data.json').write_text(
            json.dumps(
                {
                    f'{image["file_name"]}123': dict(
                        filename=image['file_name'],
                        size=123,
                        file_attributes={},
                        regions=[
                            dict(shape_attributes=shape, region_attributes=said) for shape, said in via_regions(boxes)
                        ],
                    )
                    for image, boxes in each_image(shapes_root, split)
                }
            )
        )


def via_csv(shapes_root, root):
    copy_images(shapes_root, root, '')
    for split, name in SPLITS.items():
        with (root / name / 'via_export_csv.csv').open('w', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(
                [
                    'filename',
                    'file_size',
                    'file_attributes',
                    'region_count',
                    'region_id',
                    'region_shape_attributes',
                    'region_attributes',
                ]
            )
            for image, boxes in each_image(shapes_root, split):
                for shape, said in via_regions(boxes) or [({}, {})]:
                    writer.writerow([image['file_name'], 123, '{}', len(boxes), 0, json.dumps(shape), json.dumps(said)])


def create_ml(shapes_root, root):
    copy_images(shapes_root, root, '')
    for split, name in SPLITS.items():
        (root / name / '_annotations.createml.json').write_text(
            json.dumps(
                [
                    dict(
                        image=image['file_name'],
                        annotations=[
                            dict(
                                label=label,
                                coordinates=dict(x=(x1 + x2) / 2, y=(y1 + y2) / 2, width=x2 - x1, height=y2 - y1),
                            )
                            for label, (x1, y1, x2, y2) in boxes
                        ],
                    )
                    for image, boxes in each_image(shapes_root, split)
                ]
            )
        )


def supervisely(shapes_root, root):
    for split, name in SPLITS.items():
        shutil.copytree(shapes_root / split, root / name / 'img')
        (root / name / 'ann').mkdir()
        for image, boxes in each_image(shapes_root, split):
            objects = [
                dict(
                    classTitle=label,
                    geometryType='rectangle',
                    tags=[],
                    points=dict(exterior=[[x1, y1], [x2, y2]], interior=[]),
                )
                for label, (x1, y1, x2, y2) in boxes
            ]
            (root / name / 'ann' / f'{image["file_name"]}.json').write_text(
                json.dumps(
                    dict(
                        description='',
                        tags=[],
                        size=dict(height=image['height'], width=image['width']),
                        objects=objects,
                    )
                )
            )
    (root / 'meta.json').write_text(
        json.dumps(
            dict(
                classes=[dict(title=name, shape='rectangle', color='#FF0000') for name in CLASSES],
                tags=[],
                projectType='images',
            )
        )
    )


def open_images(shapes_root, root):
    for split, name in SPLITS.items():
        shutil.copytree(shapes_root / split, root / name)
        lines = [
            'ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,'
            'IsInside'
        ]
        for image, boxes in each_image(shapes_root, split):
            width, height = image['width'], image['height']
            lines += [
                f'{image["file_name"][:-4]},xclick,/m/0{CLASSES.index(label)},1,{x1 / width},{x2 / width},'
                f'{y1 / height},{y2 / height},0,0,0,0,0'
                for label, (x1, y1, x2, y2) in boxes
            ]
        (root / f'{name}-annotations-bbox.csv').write_text('\n'.join(lines))
    (root / 'class-descriptions-boxable.csv').write_text(
        '\n'.join([*(f'/m/0{number},{name}' for number, name in enumerate(CLASSES)), '/m/09,Unicorn'])
    )


def ndjson(shapes_root, root):
    copy_images(shapes_root, root)
    (root / 'classes.txt').unlink()
    lines = [dict(type='dataset', task='detect', name='shapes', class_names=dict(enumerate(CLASSES)))]
    for split, name in SPLITS.items():
        for image, boxes in each_image(shapes_root, split):
            width, height = image['width'], image['height']
            lines.append(
                dict(
                    type='image',
                    file=image['file_name'],
                    url='https://host/a.jpg',
                    width=width,
                    height=height,
                    split=name,
                    annotations=dict(
                        boxes=[
                            [
                                CLASSES.index(label),
                                (x1 + x2) / 2 / width,
                                (y1 + y2) / 2 / height,
                                (x2 - x1) / width,
                                (y2 - y1) / height,
                            ]
                            for label, (x1, y1, x2, y2) in boxes
                        ]
                    ),
                )
            )
    (root / 'shapes.ndjson').write_text('\n'.join(map(json.dumps, lines)))


def dota(shapes_root, root):
    copy_images(shapes_root, root, '')
    for split, name in SPLITS.items():
        (root / name / 'images').mkdir()
        (root / name / 'labelTxt').mkdir()
        for path in (root / name).glob('*.jpg'):
            path.rename(path.parent / 'images' / path.name)
        for image, boxes in each_image(shapes_root, split):
            lines = [f'{x1} {y1} {x2} {y1} {x2} {y2} {x1} {y2} {label} 0' for label, (x1, y1, x2, y2) in boxes]
            (root / name / 'labelTxt' / image['file_name']).with_suffix('.txt').write_text(
                '\n'.join(['imagesource:GoogleEarth', 'gsd:0.1', *lines])
            )


def coco_parts(shapes_root, root):
    """COCO's format with every split in two files, whose ids are the same."""
    for split, name in SPLITS.items():
        shutil.copytree(shapes_root / split, root / name)
        content = annotations_of(shapes_root, split)
        (root / 'annotations').mkdir(exist_ok=True)
        half = len(content['images']) // 2
        for number, images in enumerate((content['images'][:half], content['images'][half:]), 1):
            ids = {image['id']: place for place, image in enumerate(images, 1)}
            boxes = [one for one in content['annotations'] if one['image_id'] in ids]
            (root / 'annotations' / f'instances_{name}_part{number}.json').write_text(
                json.dumps(
                    dict(
                        images=[dict(image, id=ids[image['id']]) for image in images],
                        annotations=[
                            dict(
                                one,
                                id=place,
                                image_id=ids[one['image_id']],
                                category_id=(
                                    one['category_id'] if number == 1 else len(CLASSES) + 1 - one['category_id']
                                ),
                            )
                            for place, one in enumerate(boxes, 1)
                        ],
                        categories=[
                            dict(id=place, name=label)
                            for place, label in enumerate(CLASSES if number == 1 else CLASSES[::-1], 1)
                        ],
                    )
                )
            )


#: Those of labelling tools, read by way of ``labelled.py``, with the format's name.
LABELLED = {
    'voc': 'Pascal VOC',
    'roboflow_voc': 'Pascal VOC',
    'labelme': 'LabelMe',
    'csv_tensorflow': 'CSV',
    'csv_retinanet': 'CSV',
    'cvat_xml': 'CVAT',
    'label_studio': 'Label Studio',
    'label_studio_min': 'Label Studio',
    'via': 'VIA',
    'via_csv': 'VIA',
    'create_ml': 'CreateML',
    'supervisely': 'Supervisely',
    'open_images': 'Open Images',
    'ndjson': 'Ultralytics NDJSON',
    'dota': 'DOTA',
}
LAYOUTS = {
    make.__name__: make
    for make in (
        coco,
        roboflow_coco,
        cvat_coco,
        yolo,
        roboflow_yolo,
        yolo_lists,
        cvat_ultralytics,
        cvat_yolo,
        voc,
        roboflow_voc,
        labelme,
        csv_tensorflow,
        csv_retinanet,
        cvat_xml,
        label_studio,
        label_studio_min,
        via,
        via_csv,
        create_ml,
        supervisely,
        open_images,
        ndjson,
        dota,
        coco_parts,
    )
}


def huge_png(path, width=40_000, height=25_000):
    """A valid PNG file of 100 bytes whose header states a billion pixels."""

    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))

    path.write_bytes(
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0))
        + chunk(b'IDAT', zlib.compress(b'0'))
        + chunk(b'IEND', b'')
    )
    return path
