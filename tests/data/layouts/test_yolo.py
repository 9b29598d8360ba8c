import shutil

import pytest
from own_data_layouts import CLASSES
from yaml import safe_dump as dump

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.data.layouts.find import read_user_dataset
from mmdet_shufflenetv2.data.prepared import prepare_user_dataset
from mmdet_shufflenetv2.data.problems import WARNINGS


def label(root):
    return sorted((root / 'labels' / 'train').iterdir())[2]


@pytest.mark.parametrize(
    ('line', 'box'),
    [
        ('1 0.5 0.5 0.5 0.25', [0.25, 0.375, 0.5, 0.25]),
        ('1.0 0.5 0.5 0.5 0.25', [0.25, 0.375, 0.5, 0.25]),
        ('1 0.1 0.2 0.6 0.3 0.4 0.9', [0.1, 0.2, 0.5, 0.7]),  # a polygon
        ('1 0.3 0.1 0.5 0.4 0.4 0.7 0.2 0.4', [0.2, 0.1, 0.3, 0.6]),  # the corners of a turned box
        ('1 0.9 0.4 1.1 0.5 0.9 0.7 0.8 0.5', [0.8, 0.4, 0.2, 0.3]),  # which may be outside
        ('1 0.9 0.5 0.4 0.5', [0.7, 0.25, 0.3, 0.5]),  # reaches outside
        ('1 1.004 0.5 0.2 0.5', [0.904, 0.25, 0.096, 0.5]),  # rounded by whoever wrote it
    ],
)
def test_a_line_is_a_box_in_pixels_inside_the_image(layout, line, box):
    root = layout('yolo')
    label(root).write_text(f'{line}\n\n')
    split = read_user_dataset(root).splits['train'].annotations
    image = split['images'][2]
    found = [annotation for annotation in split['annotations'] if annotation['image_id'] == image['id']]
    assert len(found) == 1
    assert found[0]['category_id'] == 2
    sides = [image['width'], image['height']] * 2
    assert found[0]['bbox'] == pytest.approx([part * side for part, side in zip(box, sides)], abs=2e-3)


@pytest.mark.parametrize(
    ('line', 'words'),
    [
        ('1 0.5 0.5 0.5', '4 fields, expected 5'),
        ('1 0.5 0.5 0.5 0.5 7', '6 fields, expected 5'),
        ('one 0.5 0.5 0.5 0.5', 'text instead of a number'),
        ('1 nan 0.5 0.5 0.5', 'NaN'),
        ('5 0.5 0.5 0.5 0.5', 'class 5, expected 0 to 4'),
        ('-1 0.5 0.5 0.5 0.5', 'class -1'),
        ('1.5 0.5 0.5 0.5 0.5', 'class 1.5'),
        ('1 48 40 20 20', '48 is not in [0, 1]'),
        ('1 48 40 20 20 10 12 13 14', '48 is not in [0, 1]'),
    ],
)
def test_invalid_line_is_reported_with_file_and_number(layout, line, words):
    root = layout('yolo')
    label(root).write_text(f'1 0.5 0.5 0.5 0.5\n{line}\n')
    ((problem, example),) = read_user_dataset(root).faults['train']
    assert problem == 'label_line'
    assert example.startswith(f'{label(root)}:2: ')
    assert words in example


@pytest.mark.parametrize(
    ('line', 'problem', 'boxes'),
    [
        ('1 0.5 0.5 0 0.5', 'box_flat', 1),
        ('1 0.5 0.5 -0.2 0.5', 'box_flat', 1),
        ('1 0.2 0.3 0.2 0.4 0.2 0.9', 'box_flat', 1),  # a polygon
        ('1 1.005 0.5 0.002 0.5', 'box_flat', 1),  # all of it outside, by rounding
        ('1 0.5 0.5 0.5 0.5 0.91', 'label_confidence', 2),
    ],
)
def test_box_without_area_is_dropped_and_confidence_is_ignored_with_a_note(layout, tmp_path, line, problem, boxes):
    root = layout('yolo')
    label(root).write_text(f'1 0.5 0.5 0.5 0.5\n{line}\n')
    data = read_user_dataset(root)
    ((found, example),) = data.faults['train']
    assert found == problem
    assert example.startswith(f'{label(root)}:2: ')
    image = data.splits['train'].annotations['images'][2]['id']
    assert sum(a['image_id'] == image for a in data.splits['train'].annotations['annotations']) == boxes
    prepare_user_dataset(data, tmp_path / 'run')
    assert any(note.startswith(f'train: 1 x {WARNINGS[problem]}: {label(root)}:2: ') for note in data.notes)


@pytest.mark.parametrize('line', ['0 0.5 0.5 0 0.5', '9 0.5 0.5 0.5 0.5'])
def test_no_valid_line_is_an_error_with_the_reason(layout, tmp_path, line):
    root = layout('yolo')
    for path in (root / 'labels' / 'train').iterdir():
        path.write_text(line)
    words = 'no box to train on: none of 12 has an area' if line[0] == '0' else '12 x a line of a label file is invalid'
    with pytest.raises(UserError, match=f'train: .*{words}'):
        prepare_user_dataset(read_user_dataset(root), tmp_path / 'run')


def test_labels_without_an_image_are_reported_without_an_error(layout, tmp_path):
    root = layout('yolo')
    lost = [root / 'labels' / 'train' / name for name in ('lost.txt', 'deeper/lost.txt', 'deeper/still/photo.txt')]
    lost[2].parent.mkdir(parents=True)
    for path in lost:
        path.write_text('0 0.5 0.5 0.5 0.5')
    (root / 'images' / 'train' / 'deeper' / 'still').mkdir(parents=True)
    (root / 'images' / 'train' / 'deeper' / 'still' / 'photo.svg').write_bytes(b'')
    data = read_user_dataset(root)
    assert [example.split(': ')[0] for _, example in data.faults['train']] == sorted(map(str, lost))
    assert 'photo.svg is not a supported image' in str(data.faults['train'])
    prepare_user_dataset(data, tmp_path / 'run')
    assert any('train: 3 x a label file has no image: ' in note for note in data.notes)


def test_labels_of_images_in_another_list_are_not_orphans(layout):
    root = layout('yolo')
    shutil.rmtree(root / 'images' / 'val')
    shutil.rmtree(root / 'labels' / 'val')
    names = [f'images/train/{path.name}' for path in sorted((root / 'images' / 'train').iterdir())]
    (root / 'train.txt').write_text('\n'.join(names[:7]))
    (root / 'val.txt').write_text('\n'.join(names[7:]))
    (root / 'data.yaml').write_text(f'train: train.txt\nval: val.txt\nnames: [{", ".join(CLASSES)}]\n')
    assert not any(read_user_dataset(root).faults.values())


def test_finds_orphan_labels_next_to_images_but_no_other_text_files(layout):
    root = layout('cvat_yolo')
    (root / 'obj_train_data' / 'lost.txt').write_text('0 0.5 0.5 0.5 0.5\n')
    (root / 'obj_train_data' / 'README.txt').write_text('12 images\n')
    ((_, example),) = read_user_dataset(root).faults['train']
    assert example.startswith(f'{root / "obj_train_data" / "lost.txt"}: ')


@pytest.mark.parametrize('suffix', ['.jfif', '.JPG', '.JPEG', '.JFIF', '.WebP', '.tif', '.jpe', '.gif', '.jp2'])
def test_reads_linked_folders_and_every_suffix(layout, tmp_path, suffix):
    root = layout('yolo')
    expected = sorted(read_user_dataset(root).splits['train'].annotations['annotations'], key=lambda a: a['bbox'])
    for kind in ('images', 'labels'):
        (root / kind / 'train').rename(tmp_path / f'store_{kind}')
        (root / kind / 'train').mkdir()
        (root / kind / 'train' / 'linked').symlink_to(tmp_path / f'store_{kind}', target_is_directory=True)
        (root / kind / 'train' / 'loop').symlink_to(root / kind, target_is_directory=True)
    for path in (tmp_path / 'store_images').iterdir():
        path.rename(path.with_suffix(suffix))
    split = read_user_dataset(root).splits['train'].annotations
    assert len(split['images']) == 12
    assert [a['bbox'] for a in sorted(split['annotations'], key=lambda a: a['bbox'])] == [a['bbox'] for a in expected]


@pytest.mark.parametrize('name', ['roboflow_coco', 'yolo'])
@pytest.mark.parametrize(
    'text',
    [
        'channels: !!python/tuple\n- defaults\n',
        'a: 1\n---\nb: 2\n',
        'Role: !Ref Other\nnames: x',
        '\tx',
        'a: &b [*c]',
        'services: {web: {image: nginx}}',
        '%',
        '\0',
    ],
)
def test_unrelated_yaml_is_skipped(layout, name, text):
    root = layout(name)
    expected = read_user_dataset(root)
    (root / 'environment.yml').write_text(text)
    data = read_user_dataset(root)
    assert data.splits == expected.splits
    unread = 'services' not in text
    assert [note for note in data.notes if 'environment.yml' in note] == data.notes[len(expected.notes) :]
    assert len(data.notes) - len(expected.notes) == unread


def test_image_without_labels_is_background_and_orphan_labels_are_an_error(layout):
    root = layout('yolo')
    label(root).unlink()
    (root / 'labels' / 'train' / 'lost.txt').write_text('')
    data = read_user_dataset(root)
    assert len(data.splits['train'].annotations['images']) == 12
    assert data.faults['train'] == [
        ('label_without_image', f'{root / "labels" / "train" / "lost.txt"}: no image of this name')
    ]


def test_clutter_next_to_images_and_labels_is_skipped(layout, tmp_path):
    root = layout('yolo')
    expected = read_user_dataset(root)
    image = sorted((root / 'images' / 'train').iterdir())[0]
    for folder in ('images/train/.ipynb_checkpoints', 'images/train/__MACOSX/train'):
        (root / folder).mkdir(parents=True)
        shutil.copy(image, root / folder / image.name)
    (root / 'images' / 'train' / f'._{image.name}').write_bytes(b'\0\5\x16\7')
    (root / 'labels' / 'train' / f'._{image.stem}.txt').write_bytes(b'\0\5\x16\7')
    (root / '._data.yaml').write_bytes(b'\0\5\x16\7')
    assert read_user_dataset(root) == expected


def test_data_set_in_a_hidden_folder_is_read(layout, tmp_path):
    root = layout('yolo').rename(tmp_path / '.cache')
    assert len(read_user_dataset(root).splits['train'].annotations['images']) == 12


def yaml(text):
    return lambda root: (root / 'data.yaml').write_text(text)


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (lambda root: (root / 'data.yaml').unlink(), 'no .yaml with the class names. Create .*data.yaml'),
        (yaml('names: [a\n'), 'cannot be read as YAML'),
        (yaml('train: images/train\nnames: []'), 'Expected the class names'),
        (yaml('train: images/train\nnames: {0: a, 2: b}'), 'numbered 0 to 1 without a gap'),
        (yaml('train: images/train\nnames: [a, a]'), 'duplicate'),
        (yaml('train: images/train\nnames: [a, b]\nnc: 3'), 'nc is 3, but there are 2 names'),
        (yaml('train: photos\nnames: [a, b]'), 'has train: photos, but there is no such folder'),
        (yaml('train: labels/train\nnames: [a, b]'), 'No images found for'),
        (yaml('val: images/val\nnames: [a, b]'), 'has no entry train with images'),
        (lambda root: (root / 'labels').rename(root / 'texts'), 'None of the 12 images of train has labels: .*labels'),
        (yaml('train: images/train\nnames: [a]\nnames: [b]'), "YAML: duplicate key 'names'"),
        (yaml('train: images/train\nnames: {0: a, 0: b}'), "YAML: duplicate key '0'"),
        (yaml('train:\timages/train\nnames:\n\t- a'), 'cannot be read as YAML'),
        (
            lambda root: (
                shutil.copy(root / 'data.yaml', root / 'my.yaml'),
                (root / 'data.yaml').rename(root / 'other.yaml'),
            ),
            '2 files could describe the data',
        ),
    ],
)
def test_incomplete_data_are_reported(layout, damage, words):
    root = layout('yolo')
    damage(root)
    with pytest.raises(UserError, match=words):
        read_user_dataset(root)


def test_list_of_classes_replaces_the_yaml(layout):
    root = layout('yolo')
    (root / 'data.yaml').unlink()
    (root / 'classes.txt').write_text('circle\nsquare\ntriangle\nstar\ncross\n')
    assert len(read_user_dataset(root).splits['val'].annotations['images']) == 6


def test_data_set_can_be_given_by_darknet_description(layout, tmp_path):
    root = layout('cvat_yolo').rename(tmp_path / 'images')  # whose labels are in no folder "labels"
    assert len(read_user_dataset(root / 'obj.data').splits['val'].annotations['images']) == 6


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (lambda root: (root / 'obj.names').unlink(), 'obj.data has names = data/obj.names, but there is no such file'),
        (lambda root: (root / 'obj.names').write_text('\n'), 'obj.names is empty. Expected one class name per line'),
        (lambda root: (root / 'obj.names').write_text('a\nb\n'), 'has classes = 5, but .*obj.names has 2 names'),
        (
            lambda root: shutil.rmtree(root / 'obj_train_data'),
            "train.txt lists 12 images, but none of them exists: the first is 'data/obj_train_data/000000000001.jpg'",
        ),
    ],
)
def test_incomplete_darknet_description_is_reported(layout, damage, words):
    root = layout('cvat_yolo')
    damage(root)
    with pytest.raises(UserError, match=words):
        read_user_dataset(root)


def test_files_from_windows_are_read(layout):
    root = layout('cvat_ultralytics')
    (root / 'data.yaml').unlink()
    (root / 'my.data').write_text('names = my.names\ntrain = train.txt\n')
    (root / 'my.names').write_text('\n'.join(CLASSES))
    images = sorted((root / 'images' / 'train').iterdir())
    (root / 'train.txt').write_text('\n'.join(f'data\\images\\train\\{path.name}' for path in images))
    expected = read_user_dataset(root)
    assert len(expected.splits['train'].annotations['annotations']) > 12
    for path in (root / 'my.data', root / 'my.names', root / 'train.txt', *(root / 'labels').rglob('*.txt')):
        path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes().replace(b'\n', b'\r\n'))
    found = read_user_dataset(root)
    assert found.classes == CLASSES
    assert found.splits['train'].annotations == expected.splits['train'].annotations
    assert not found.faults['train']


def test_copied_data_set_is_read_in_its_folder(layout, tmp_path):
    original = layout('yolo')
    copied = shutil.copytree(original, tmp_path / 'copy')
    text = (copied / 'data.yaml').read_text().splitlines()[1:]
    (copied / 'data.yaml').write_text('\n'.join([f'path: {original}', *text]))
    assert read_user_dataset(copied).splits['train'].images == copied / 'images' / 'train'
    shutil.rmtree(copied / 'images')
    data = read_user_dataset(copied)
    assert data.splits['train'].images == original / 'images' / 'train'
    assert f'train: the images are outside of this folder, in {original}' in data.notes[0]


@pytest.mark.parametrize('key', ['names', 'train', 'val', 'nc', 'path'])
def test_any_yaml_gives_data_or_a_one_line_error(layout, key):
    root = layout('yolo')
    for value in (None, 5, True, '', [], {}, [[]], {'a': {}}, [None], [1, {}], '\x00', '../..', [['x']], float('nan')):
        content = dict(train='images/train', val='images/val', names=['a', 'b', 'c', 'd', 'e']) | {key: value}
        (root / 'data.yaml').write_text(dump(content))
        assert len(outcome(root)) <= 2


def outcome(root):
    """The lines of the error; none for data."""
    try:
        read_user_dataset(root)
    except UserError as error:
        return str(error).splitlines()
    return []
