import json
import shutil

import pytest
from own_data_layouts import CLASSES, LAYOUTS, SPLITS, annotations_of

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.data.layouts.find import read_user_dataset


def boxes(annotations):
    """File name -> sorted ``(class name, box)``, boxes to a hundredth of a pixel."""
    names = {category['id']: category['name'] for category in annotations['categories']}
    files = {image['id']: image['file_name'].rsplit('/', 1)[-1].removeprefix('v') for image in annotations['images']}
    found = {name: [] for name in files.values()}
    for annotation in annotations['annotations']:
        found[files[annotation['image_id']]].append(
            (names[annotation['category_id']], *(round(side, 2) for side in annotation['bbox']))
        )
    return {name: sorted(of) for name, of in found.items()}


@pytest.mark.parametrize('name', LAYOUTS)
def test_every_layout_gives_the_same_classes_images_and_boxes(layout, shapes_root, name):
    data = read_user_dataset(layout(name))
    assert data.classes == CLASSES
    assert list(data.splits) == list(SPLITS.values())
    for original, split in SPLITS.items():
        assert boxes(data.splits[split].annotations) == boxes(annotations_of(shapes_root, original))
        assert all(
            (data.splits[split].images / image['file_name']).is_file()
            for image in data.splits[split].annotations['images']
        )
    assert not any(data.faults.values())


def test_data_set_can_be_given_by_its_yaml(layout):
    assert read_user_dataset(layout('yolo') / 'data.yaml').classes == CLASSES


def test_single_file_is_the_training_split(layout):
    root = layout('cvat_coco')
    (root / 'annotations' / 'instances_Validation.json').unlink()
    (root / 'annotations' / 'instances_Train.json').rename(root / 'annotations' / 'instances_default.json')
    (root / 'images' / 'Train').rename(root / 'images' / 'default')
    assert list(read_user_dataset(root).splits) == ['train']


def nothing(root):
    (root / 'notes').mkdir(parents=True)


@pytest.mark.parametrize(
    ('make', 'words'),
    [
        (lambda root: None, 'folder not found. Expected COCO'),
        (lambda root: root.write_text(''), 'is a file. Name the folder'),
        (nothing, 'no data set recognized. Expected COCO.*\nThe folder contains notes/'),
    ],
)
def test_rejects_what_is_not_a_data_set(tmp_path, make, words):
    make(tmp_path / 'data')
    with pytest.raises(UserError, match=words):
        read_user_dataset(tmp_path / 'data')


def test_data_set_in_a_subfolder_is_suggested(layout):
    root = layout('yolo')
    with pytest.raises(UserError, match=f'data={root}'):
        read_user_dataset(root.parent)


def test_several_data_sets_in_subfolders_are_listed(shapes_root, tmp_path):
    root = tmp_path / 'several'
    LAYOUTS['coco'](shapes_root, root / 'a')
    LAYOUTS['cvat_yolo'](shapes_root, root / 'b')
    with pytest.raises(UserError, match=f'These folders in it are data sets: data={root}/a, data={root}/b[.]$'):
        read_user_dataset(root)


@pytest.mark.parametrize(
    ('name', 'content', 'words'),
    [
        ('voc/VOC2007/a/a.xml', '<annotation><object/></annotation>', 'Pascal VOC, but in a subfolder that is not'),
        ('train.json', [dict(image_id=1, category_id=1, bbox=[1, 1, 2, 2], score=0.5)], 'COCO results'),
        ('data.tfrecord', '', 'TFRecord'),
    ],
)
def test_unsupported_formats_are_reported_with_the_remedy(tmp_path, name, content, words):
    path = tmp_path / 'data' / name
    path.parent.mkdir(parents=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    (tmp_path / 'data' / 'a.jpg').write_bytes(b'')
    with pytest.raises(UserError, match=f'{path} .*{words}') as error:
        read_user_dataset(tmp_path / 'data')
    assert len(str(error.value).splitlines()) == 2


def test_other_formats_next_to_coco_are_ignored(layout):
    root = layout('coco')
    expected = read_user_dataset(root)
    (root / 'train_1.json').write_text('{"version": "5.0.1", "flags": {}, "shapes": []}')
    (root / 'train.xml').write_text('<annotation><object><bndbox></bndbox></object></annotation>')
    assert read_user_dataset(root) == expected


@pytest.mark.parametrize(
    ('name', 'part'),
    [
        ('cvat_coco', 'annotations/instances_Train.json'),
        ('cvat_coco', 'annotations'),
        ('roboflow_yolo', 'train'),
        ('cvat_yolo', 'obj.names'),
        ('yolo', 'images'),
        ('yolo', 'labels/train'),
        ('cvat_coco', 'images'),
    ],
)
def test_part_of_a_data_set_is_an_error_with_its_folder(layout, name, part):
    root = layout(name)
    with pytest.raises(UserError, match=f'data={root}[.]?$'):
        read_user_dataset(root / part)


def test_archive_is_an_error_with_the_remedy(layout):
    root = layout('yolo')
    (root / 'data.zip').write_bytes(b'PK')
    with pytest.raises(UserError, match='data.zip is an archive. Unpack it and name the folder'):
        read_user_dataset(root / 'data.zip')


@pytest.mark.parametrize(('name', 'flat'), [('yolo', False), ('yolo', True), ('roboflow_yolo', False)])
def test_proposed_description_works(layout, name, flat):
    root = layout(name)
    (root / 'data.yaml').unlink()
    if flat:
        for folder in ('images', 'labels'):
            for name in SPLITS.values():
                shutil.copytree(root / folder / name, root / folder, dirs_exist_ok=True)
                shutil.rmtree(root / folder / name)
    with pytest.raises(UserError, match='no .yaml with the class names') as error:
        read_user_dataset(root)
    proposed = str(error.value).split('lines: ')[1].replace('[cat, dog]', f'[{", ".join(CLASSES)}]')
    (root / 'data.yaml').write_text(proposed.replace('; ', '\n'))
    assert list(read_user_dataset(root).splits) == (['train'] if flat else ['train', 'val'])
