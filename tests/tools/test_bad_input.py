"""Each mistake gives one or two lines with the remedy, exit status 2 and no traceback."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from conftest import ROOT

CONFIG = ROOT / 'configs' / 'faster_rcnn_snv2.py'


@pytest.fixture
def broken(small_config, shapes_root, tmp_path):
    """Copies of the small data and config, to be damaged. The data set is a plain COCO one: nothing is generated."""
    data = shutil.copytree(shapes_root, tmp_path / 'data')
    config = tmp_path / 'broken.py'
    config.write_text(
        small_config.read_text().replace(str(shapes_root), str(data))
        + """
_plain = dict(_delete_=True, type='CocoDataset', data_root=_data['data_root'], metainfo=dict(classes=(
    'circle', 'square', 'triangle', 'star', 'cross')), pipeline={{_base_.train_pipeline}})
train_dataloader = dict(dataset=dict(
    **_plain, ann_file='annotations/instances_train2017.json', data_prefix=dict(img='train2017/')))
val_dataloader = dict(dataset=dict(
    **_plain, ann_file='annotations/instances_val2017.json', data_prefix=dict(img='val2017/')))
test_dataloader = val_dataloader
"""
    )
    return config, data


def assert_refused(ended, *words):
    assert ended.status == 2, (ended.out[-500:], ended.err)
    lines = [line for line in ended.err.strip().splitlines() if 'Warning' not in line]
    said = lines[next(i for i, line in enumerate(lines) if line.startswith('error: ')) :]
    assert len(said) <= 2, ended.err
    assert 'Traceback' not in ended.err
    assert all(word in ' '.join(said) for word in words), ended.err


def test_missing_data_are_reported_with_the_layout(tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(
        tool('train.py', CONFIG),
        'data/coco/annotations/instances_train2017.json',
        'data/coco/{train,val}2017/*.jpg',
        '--data-root',
    )


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (lambda data: (data / 'annotations' / 'instances_train2017.json').write_text('images:'), ['is not JSON']),
        (lambda data: (data / 'annotations' / 'instances_train2017.json').write_text('{}'), ['has no list "images"']),
        (lambda data: (data / 'val2017' / '000000000003.jpg').unlink(), ['000000000003.jpg is missing']),
        (
            lambda data: (data / 'val2017' / '000000000002.jpg').write_bytes(b'\xff\xd8half'),
            ['000000000002.jpg is trunc'],
        ),
        (lambda data: rename_category(data), ["category 'zebra'"]),
    ],
)
def test_invalid_data_are_reported_before_the_run(tool, broken, damage, words, tmp_path):
    config, data = broken
    damage(data)
    assert_refused(tool('train.py', config, '--work-dir', tmp_path / 'run'), *words)
    assert not (tmp_path / 'run').exists()


def rename_category(data):
    path = data / 'annotations' / 'instances_val2017.json'
    annotations = json.loads(path.read_text())
    annotations['categories'][0]['name'] = 'zebra'
    path.write_text(json.dumps(annotations))


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['configs/faster_rcnn_snv3.py'], ['Config not found', 'faster_rcnn_snv2']),
        ([ROOT / 'README.md'], ['is not a config file']),
        ([CONFIG, '--cfg-options', 'model.backbone.widen_factor=0.7'], ['0.5, 1.0, 1.5, 2.0']),
        ([CONFIG, '--cfg-options', 'model.backbone.out_indices=(1,9)'], ['out_indices=(1, 9)']),
        ([CONFIG, '--cfg-options', 'model.backbone.frozen_stages=7'], ['frozen_stages=7']),
        ([CONFIG, '--cfg-options', 'model.backbone.type=ShuffleNetV3'], ['ShuffleNetV3', 'registry']),
        ([CONFIG, '--cfg-options', 'model.backbone.width=1'], ['width']),
        ([CONFIG, '--data-root', '/nowhere'], ['--data-root /nowhere is not a folder']),
        pytest.param(
            [CONFIG, '--amp'],
            ['--amp needs a GPU'],
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU'),
        ),
        ([CONFIG, '--resume', 'nowhere.pth'], ['not found: nowhere.pth']),
        ([CONFIG, '--cfg-options', 'load_from=nowhere.pth'], ['load_from=nowhere.pth', 'file not found']),
        ([CONFIG, '--cfg-options', 'foo'], ['--cfg-options foo', 'KEY=VALUE']),
        ([CONFIG, '--cfg-options', 'foo=[1,2'], ['--cfg-options foo=[1,2', 'brackets']),
        ([CONFIG, '--cfg-options', 'train_cfg.max_epoch=3'], ['unknown entry', 'mean train_cfg.max_epochs?']),
        ([CONFIG, '--cfg-options', 'train_dataloader.batch_size=abc'], ['train_dataloader.batch_size=abc', 'a number']),
        ([CONFIG, '--freeze', '9'], ['--freeze 9: expected -1', '4']),
        ([CONFIG, '--freeze', '-5'], ['--freeze -5: expected -1']),
        ([CONFIG, '--checkpoint-interval-minutes', '-1'], ['--checkpoint-interval-minutes -1.0', 'positive']),
        ([CONFIG, '--data', 'fish', '--data-root', '/'], ['--data fish and --data-root /', 'exclude each other']),
        (['faster_rcnn_snv2'], ['Config not found: faster_rcnn_snv2.', 'configs/faster_rcnn_snv2.py']),
        (['nope::x/y.py'], ['nope::x/y.py cannot be read']),
        (['configs/_base_/nanodet_m.py'], ['nanodet_m.py has no train_cfg', 'not a complete config']),
    ],
)
def test_train_rejects_invalid_arguments(tool, broken, arguments, words, monkeypatch):
    monkeypatch.chdir(ROOT)
    arguments = [broken[0] if a == CONFIG else a for a in arguments]
    assert_refused(tool('train.py', *arguments, '--work-dir', broken[1] / 'run'), *words)


@pytest.mark.parametrize('out', ['file/out', '/proc/nothing'])
@pytest.mark.parametrize(
    'arguments',
    [
        ['train.py', CONFIG, '--work-dir'],
        ['test.py', CONFIG, 'model.pth', '--work-dir'],
        ['test.py', CONFIG, 'model.pth', '--out'],
        ['browse.py', CONFIG, '--count', 1, '--out-dir'],
        ['browse.py', CONFIG, '--count', 1, '--data', 'shapes', '--out-dir'],
    ],
    ids=lambda arguments: arguments[0],
)
def test_folder_that_cannot_be_created_is_reported_with_its_flag(
    tool, small_config, shapes_root, tmp_path, monkeypatch, arguments, out
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').touch()
    torch.save({}, 'model.pth')
    name, *arguments = [dict(shapes=shapes_root).get(a, small_config if a == CONFIG else a) for a in arguments]
    flag = arguments[-1]
    out, folder = (f'{out}/r.json', out) if flag == '--out' else (out, out)
    assert_refused(tool(name, *arguments, out), f'{flag}: ', f'the folder {folder} ', 'Choose another one')


@pytest.mark.parametrize('name', ['test.py', 'infer.py'])
@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (None, ['Checkpoint not found', 'model.pth']),
        (b'no checkpoint', ['PyTorch checkpoint', 'not a pickle']),
        ('evil', ['model.pth', 'posix.system']),
        ('other', ['model.pth', 'do not match', ' more']),
        ('wide', ['another width', '(116, 232, 464)', '(48, 96, 192)']),
    ],
)
def test_rejects_invalid_checkpoints(tool, small_config, shapes_root, tmp_path, name, content, words):
    path = tmp_path / 'model.pth'
    if content == 'evil':
        torch.save({'state_dict': Evil()}, path)
    elif content == 'other':
        torch.save({'state_dict': torch.nn.Linear(2, 2).state_dict()}, path)
    elif content == 'wide':
        from mmdet_shufflenetv2 import ShuffleNetV2

        weights = ShuffleNetV2(out_indices=(0, 1, 2, 3)).state_dict()
        torch.save({f'backbone.{key}': tensor for key, tensor in weights.items()}, path)
    elif content:
        path.write_bytes(content)
    more = [shapes_root / 'val2017', '--out-dir', tmp_path / 'out'] if name == 'infer.py' else ['--work-dir', tmp_path]
    assert_refused(tool(name, small_config, path, *more), *words)


class Evil:
    def __reduce__(self):
        import os

        return os.system, ('echo it ran',)


@pytest.mark.parametrize(
    ('inputs', 'words'),
    [
        (['nowhere.jpg'], ['File or folder not found: nowhere.jpg']),
        (['empty'], ['No images or videos found in empty']),
        (['text.jpg'], ['text.jpg is truncated or', 'remove them']),
        (['photo.jpg', '--device', 'gpu'], ['--device gpu', 'cpu', 'cuda:1']),
        (['--classes', 'person', 'photo.jpg'], ['got only', 'before --classes']),
    ],
)
def test_infer_rejects_invalid_images(tool, small_config, shapes_root, tmp_path, monkeypatch, inputs, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'text.jpg').write_text('hello')
    shutil.copy(shapes_root / 'val2017' / '000000000001.jpg', 'photo.jpg')
    ended = tool('infer.py', small_config, 'none.pth', *inputs)
    assert_refused(ended, *words)
    assert 'annotation' not in ended.err


@pytest.mark.parametrize('arguments', [['photo.jpg', 'c.py', 'none.pth'], ['c.py', 'photo.jpg', 'none.pth']])
def test_image_before_the_detector_is_an_error_with_the_order(tool, arguments):
    assert_refused(tool('infer.py', *arguments), 'Expected a checkpoint, got photo.jpg', 'CONFIG CHECKPOINT INPUT')


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['config.py', 'photo.jpg'], ['got only config.py photo.jpg', 'CONFIG CHECKPOINT INPUT']),
        (['ours.pth', 'photo.jpg'], ['ours.pth has no config inside', 'before the checkpoint: CONFIG ours.pth']),
        (['plus.pth', 'photo.jpg'], ['NanoDet-Plus', 'the config is for NanoDet']),
    ],
)
def test_infer_without_a_config_is_an_error(tool, shapes_root, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    shutil.copy(shapes_root / 'val2017' / '000000000001.jpg', 'photo.jpg')
    torch.save({'bbox_head.fc.weight': torch.ones(1)}, 'ours.pth')
    torch.save(
        {
            'state_dict': {
                'model.head.gfl_cls.0.weight': torch.ones(112, 96, 1, 1),
                'model.fpn.reduce_layers.0.conv.weight': torch.ones(96, 116, 1, 1),
            }
        },
        'plus.pth',
    )
    assert_refused(tool('infer.py', *arguments), *words)


@pytest.mark.parametrize('out', ['results.csv', 'results', '.', 'folder.json'])
def test_out_needs_a_known_format(tool, small_config, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'folder.json').mkdir()
    assert_refused(tool('test.py', small_config, 'x.pth', '--out', out), f'--out {out}', '.json', '.pkl')


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='elsewhere there is a display')
def test_windows_need_a_display(tool, small_config, monkeypatch):
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    assert_refused(tool('test.py', small_config, 'x.pth', '--show'), '--show needs a display', '--show-dir')


@pytest.mark.parametrize(
    ('missing', 'words'),
    [
        ('mmcv', ['mmdet_shufflenetv2 needs mmcv', "pip install 'mmcv-lite"]),
        ('mmengine', ["No module named 'mmengine'", 'make install']),
        ('mmdet_shufflenetv2', ["No module named 'mmdet_shufflenetv2'", 'make install']),
    ],
)
def test_missing_package_is_reported_without_a_traceback(missing, words, tmp_path):
    code = f"""
import sys
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *args: None if name.split('.')[0] == {missing!r} else find(name, *args)
if {missing!r} == 'mmdet_shufflenetv2':  # an editable install has a finder of its own
    sys.meta_path[:] = [finder for finder in sys.meta_path if 'editable' not in str(finder)]
sys.argv = ['train.py', 'config.py']
sys.path.insert(0, {str(ROOT / 'tools')!r})
import runpy
runpy.run_path({str(ROOT / 'tools' / 'train.py')!r}, run_name='__main__')
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith('error: ')
    assert all(word in done.stderr for word in words), done.stderr
    assert 'Traceback' not in done.stderr
