import json

import pytest

TRAIN = 'annotations/instances_train2017.json'


def edit(root, change):
    content = json.loads((root / TRAIN).read_text())
    change(content)
    (root / TRAIN).write_text(json.dumps(content))


@pytest.mark.parametrize('form', ['file', 'file alone', 'data', 'yolo', 'config'])
def test_valid_data_set_passes_in_every_form(tool, layout, tmp_path, form):
    root = layout('yolo' if form == 'yolo' else 'coco')
    config = tmp_path / 'config.py'
    config.write_text(f"""
_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', 'mmdet::_base_/datasets/coco_detection.py']
train_dataloader = dict(dataset=dict(data_root='{root}/'))
val_dataloader = dict(dataset=dict(data_root='{root}/'))
test_dataloader = val_dataloader
""")
    arguments = {
        'file': [root / TRAIN, '--images', root / 'train2017'],
        'file alone': [root / TRAIN],
        'config': [config],
    }.get(form, ['--data', root])
    ended = tool('check_dataset.py', *arguments)
    assert ended.status == 0, ended.err + ended.out
    assert ended.out.count('  OK to train') == (1 if 'file' in form else 2)


def test_supported_formats_are_listed(tool):
    ended = tool('check_dataset.py', '--formats')
    assert ended.status == 0, ended.err
    assert [line.split('  ')[0] for line in ended.out.splitlines()] == [
        'COCO',
        'YOLO',
        'Pascal VOC',
        'LabelMe',
        'CVAT',
        'Label Studio',
        'VIA',
        'CreateML',
        'Supervisely',
        'Open Images',
        'CSV',
        'Ultralytics NDJSON',
        'DOTA',
    ]


@pytest.mark.parametrize(
    'change',
    [
        lambda content: content['categories'][0].update(name='model'),
        lambda content: content.update(info=dict(model='of the camera')),
        lambda content: content.update(model='of the camera'),
    ],
)
def test_annotations_with_a_model_key_are_not_a_config(tool, layout, change):
    root = layout('coco')
    edit(root, change)
    ended = tool('check_dataset.py', root / TRAIN)
    assert ended.status == 0, ended.err
    assert 'OK to train' in ended.out


@pytest.mark.parametrize('first', ['model', '_base_'])
def test_json_config_is_distinguished_from_annotations(tool, layout, tmp_path, first):
    root = layout('coco')
    dataset = dict(type='CocoDataset', data_root=f'{root}/', ann_file=TRAIN, data_prefix=dict(img='train2017/'))
    loader = dict(batch_size=1, num_workers=0, dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=True))
    long = dict(note='x' * (1 << 17))
    base = dict(long, train_dataloader=loader, model=dict(type='RetinaNet'))
    (tmp_path / 'base.json').write_text(json.dumps(base))
    (tmp_path / 'c.json').write_text(json.dumps(base if first == 'model' else dict(long, _base_='base.json')))
    ended = tool('check_dataset.py', tmp_path / 'c.json')
    assert ended.status == 0, ended.err
    assert ended.out.count('OK to train') == 1


def test_fatal_problem_gives_status_1_and_is_in_the_json(tool, layout, tmp_path):
    root = layout('coco')
    edit(root, lambda content: content['annotations'][0].update(bbox=[1, 2, float('nan'), 4]))
    ended = tool('check_dataset.py', root / TRAIN, '--images', root / 'train2017', '--json', tmp_path / 'out.json')
    assert ended.status == 1
    assert 'not OK to train' in ended.out
    report = json.loads((tmp_path / 'out.json').read_text())
    assert report['fatal']
    assert report['files'][0]['problems'][0]['problem'] == 'box_not_finite'


def test_only_warnings_give_status_0(tool, layout):
    root = layout('coco')
    edit(root, lambda content: content['annotations'][0].update(bbox=[-5, 2, 9, 9]))
    ended = tool('check_dataset.py', root / TRAIN)
    assert ended.status == 0
    assert 'warning      1  a box reaches outside its image' in ended.out


def test_invalid_label_lines_are_counted(tool, layout):
    root = layout('yolo')
    for path in (root / 'labels' / 'train').iterdir():
        path.write_text('7 0.5 0.5 0.5 0.5')
    ended = tool('check_dataset.py', '--data', root)
    assert ended.status == 1
    assert '    12  a line of a label file is invalid' in ended.out


@pytest.mark.parametrize(
    ('content', 'status'),
    [
        ('[' * 1000 + ']' * 1000, 2),
        ('[' * 100_000, 2),
        ('{"images": [', 2),
        ('[]', 2),
        ('{}', 2),
        ('', 2),
        ('{"images": [1], "annotations": {}, "categories": []}', 2),
        ('{"images": [1], "annotations": [2], "categories": ["x"]}', 1),
        ('{"images": [' + '[' * 900 + ']' * 900 + '], "annotations": [], "categories": []}', 1),
    ],
)
def test_invalid_annotation_files_give_a_report_or_one_line(tool, tmp_path, content, status):
    (tmp_path / 'a.json').write_text(content)
    ended = tool('check_dataset.py', tmp_path / 'a.json', '--images', tmp_path)
    assert ended.status == status, ended.out + ended.err
    assert 'Traceback' not in ended.err
    assert 'FATAL' in ended.out if status == 1 else ended.err.startswith('error: ')


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ([], 'Expected an annotation file'),
        (['nowhere.json'], 'Annotation file not found: nowhere.json'),
        (['nowhere.py'], 'Config not found: nowhere.py'),
        (['nowhere.json', '--images', 'nowhere'], '--images nowhere: folder not found'),
        (['--data', 'nowhere'], 'folder not found'),
        (['a.json', '--data', '.'], 'Expected an annotation file'),
    ],
)
def test_mistakes_give_status_2(tool, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    ended = tool('check_dataset.py', *arguments)
    assert ended.status == 2
    assert words in ended.err


@pytest.mark.parametrize(
    ('name', 'part'), [('coco', '.'), ('yolo', '.'), ('yolo', 'data.yaml'), ('cvat_yolo', 'obj.data')]
)
def test_data_set_can_be_given_without_its_flag(tool, layout, name, part):
    root = layout(name)
    ended = tool('check_dataset.py', root / part)
    assert ended.status == 0
    assert ended.out == tool('check_dataset.py', '--data', root / part).out


@pytest.mark.parametrize('flag', [[], ['--data']])
def test_suggestions_are_not_circular(tool, tmp_path, flag):
    (tmp_path / 'a' / 'annotations').mkdir(parents=True)
    (tmp_path / 'a' / 'annotations' / 'fish.json').write_text('{}')
    for path in (tmp_path, tmp_path / 'a', tmp_path / 'a' / 'annotations'):
        ended = tool('check_dataset.py', *flag, path)
        assert ended.status == 2
        assert f'--data {path}: ' in ended.err or f'--data {path} ' in ended.err
    assert 'no data set recognized. Expected' in tool('check_dataset.py', *flag, tmp_path / 'a').err
