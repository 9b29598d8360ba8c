"""Shapes in the layouts that other tools export, and worse files; for the tests of ``own_data`` and ``datasets``."""

import copy
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
    """A config of the project, to be changed; reading it anew takes a second."""
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
                numbers = [x / width, y / height, (x + w) / width, y / height, (x + w) / width, (y + h) / height,
                           x / width, (y + h) / height] if polygons else [
                    (x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
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
        shutil.copy(shapes_root / 'annotations' / f'instances_{split}.json',
                    root / 'annotations' / f'instances_{name}.json')


def yolo(shapes_root, root):
    for split, name in SPLITS.items():
        shutil.copytree(shapes_root / split, root / 'images' / name)
        write_labels(annotations_of(shapes_root, split), root / 'labels' / name)
    names = '\n'.join(f'  {number}: {name}' for number, name in enumerate(CLASSES))
    (root / 'data.yaml').write_text(f'path: /home/somebody/{root.name}\ntrain: images/train\nval: images/val\n'
                                    f'names:\n{names}\n')


def roboflow_yolo(shapes_root, root):
    for split, name in (('train2017', 'train'), ('val2017', 'valid')):
        shutil.copytree(shapes_root / split, root / name / 'images')
        write_labels(annotations_of(shapes_root, split), root / name / 'labels', polygons=True)
    (root / 'data.yaml').write_text(f'train: ../train/images\nval: ../valid/images\ntest: ../test/images\n'
                                    f'nc: 5\nnames: [{", ".join(CLASSES)}]\n')


def yolo_lists(shapes_root, root):
    yolo(shapes_root, root)
    for name in SPLITS.values():
        (root / f'{name}.txt').write_text('\n'.join(
            f'./images/{name}/{path.name}' for path in sorted((root / 'images' / name).iterdir())))
    (root / 'data.yaml').write_text(f'train: train.txt\nval: [val.txt]\nnames: [{", ".join(CLASSES)}]\n')


def cvat_ultralytics(shapes_root, root):
    yolo(shapes_root, root)
    for name in SPLITS.values():
        (root / f'{name}.txt').write_text('\n'.join(
            f'data/images/{name}/{path.name}' for path in sorted((root / 'images' / name).iterdir())))
    names = '\n'.join(f'  {number}: {name}' for number, name in enumerate(CLASSES))
    (root / 'data.yaml').write_text(f'names:\n{names}\npath: .\ntrain: train.txt\nval: val.txt\n')


def cvat_yolo(shapes_root, root):
    """CVAT's YOLO 1.1, which is Darknet's: labels beside the images."""
    for split, name in (('train2017', 'train'), ('val2017', 'valid')):
        folder = root / f'obj_{name}_data'
        write_labels(annotations_of(shapes_root, split), folder)
        shutil.copytree(shapes_root / split, folder, dirs_exist_ok=True)
        (root / f'{name}.txt').write_text('\n'.join(
            f'data/{folder.name}/{path.name}' for path in sorted(folder.glob('*.jpg'))))
    (root / 'obj.names').write_text('\n'.join([*CLASSES, '']))
    (root / 'obj.data').write_text('classes = 5\ntrain = data/train.txt\nvalid = data/valid.txt\n'
                                   'names = data/obj.names\nbackup = backup/\n')


LAYOUTS = {make.__name__: make for make in (coco, roboflow_coco, cvat_coco, yolo, roboflow_yolo, yolo_lists,
                                            cvat_ultralytics, cvat_yolo)}


def huge_png(path, width=40_000, height=25_000):
    """A whole PNG file of 100 bytes whose header states a billion pixels."""

    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))

    path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0))
                     + chunk(b'IDAT', zlib.compress(b'0')) + chunk(b'IEND', b''))
    return path
