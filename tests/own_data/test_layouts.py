import shutil

import pytest
from own_data_layouts import CLASSES, LAYOUTS, SPLITS, annotations_of

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.own_data.layouts import read_own_data


def boxes(annotations):
    """File name -> sorted ``(class name, box)``, boxes to a hundredth of a pixel."""
    names = {category['id']: category['name'] for category in annotations['categories']}
    files = {image['id']: image['file_name'].rsplit('/', 1)[-1] for image in annotations['images']}
    found = {name: [] for name in files.values()}
    for annotation in annotations['annotations']:
        found[files[annotation['image_id']]].append(
            (names[annotation['category_id']], *(round(side, 2) for side in annotation['bbox'])))
    return {name: sorted(of) for name, of in found.items()}


@pytest.mark.parametrize('name', LAYOUTS)
def test_every_layout_gives_the_same_classes_images_and_boxes(layout, shapes_root, name):
    data = read_own_data(layout(name))
    assert data.classes == CLASSES
    assert list(data.splits) == list(SPLITS.values())
    for original, split in SPLITS.items():
        assert boxes(data.splits[split].annotations) == boxes(annotations_of(shapes_root, original))
        assert all((data.splits[split].images / image['file_name']).is_file()
                   for image in data.splits[split].annotations['images'])
    assert not any(data.faults.values())


def test_the_yaml_of_a_data_set_names_it_too(layout):
    assert read_own_data(layout('yolo') / 'data.yaml').classes == CLASSES


def test_an_export_of_one_file_is_all_to_train_on(layout):
    root = layout('cvat_coco')
    (root / 'annotations' / 'instances_Validation.json').unlink()
    (root / 'annotations' / 'instances_Train.json').rename(root / 'annotations' / 'instances_default.json')
    (root / 'images' / 'Train').rename(root / 'images' / 'default')
    assert list(read_own_data(root).splits) == ['train']


def nothing(root):
    (root / 'notes').mkdir(parents=True)


@pytest.mark.parametrize(('make', 'words'), [
    (lambda root: None, 'there is no such folder. Expected COCO'),
    (lambda root: root.write_text(''), 'is a file. Name the folder'),
    (nothing, 'no data set is recognised here. Expected COCO.*\nIt holds notes/'),
])
def test_what_is_no_data_set_is_said(tmp_path, make, words):
    make(tmp_path / 'data')
    with pytest.raises(UserError, match=words):
        read_own_data(tmp_path / 'data')


def test_a_data_set_one_folder_below_is_pointed_at(layout):
    root = layout('yolo')
    with pytest.raises(UserError, match=f'--data {root}'):
        read_own_data(root.parent)


@pytest.mark.parametrize(('name', 'part'), [
    ('cvat_coco', 'annotations/instances_Train.json'), ('cvat_coco', 'annotations'), ('roboflow_yolo', 'train'),
    ('roboflow_coco', 'valid/_annotations.coco.json'), ('cvat_yolo', 'obj.names'),
])
def test_the_whole_is_named_where_a_part_of_it_was(layout, name, part):
    root = layout(name)
    with pytest.raises(UserError, match=f'--data {root}$'):
        read_own_data(root / part)


def test_an_archive_is_to_be_unpacked(layout):
    root = layout('yolo')
    (root / 'data.zip').write_bytes(b'PK')
    with pytest.raises(UserError, match='data.zip is an archive. Unpack it and name the folder'):
        read_own_data(root / 'data.zip')


@pytest.mark.parametrize('flat', [False, True])
def test_the_description_that_is_proposed_does(layout, flat):
    root = layout('yolo')
    (root / 'data.yaml').unlink()
    if flat:
        for folder in ('images', 'labels'):
            for name in SPLITS.values():
                shutil.copytree(root / folder / name, root / folder, dirs_exist_ok=True)
                shutil.rmtree(root / folder / name)
    with pytest.raises(UserError, match='no .yaml that names the classes') as error:
        read_own_data(root)
    proposed = str(error.value).split('lines: ')[1].replace('[cat, dog]', f'[{", ".join(CLASSES)}]')
    (root / 'data.yaml').write_text(proposed.replace('; ', '\n'))
    assert list(read_own_data(root).splits) == (['train'] if flat else ['train', 'val'])
