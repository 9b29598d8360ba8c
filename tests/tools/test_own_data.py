"""tools/train.py on a data set of the user's own, then test.py, infer.py and export.py with no flag about it."""

import json
import shutil

import pytest
from conftest import ROOT
from own_data_layouts import CLASSES, LAYOUTS

CONFIG = """
_base_ = ['{root}/configs/faster_rcnn_snv2_shapes.py']
_loader = dict(batch_size=4, num_workers=0, persistent_workers=False)
train_dataloader = _loader
val_dataloader = _loader
test_dataloader = _loader
model = dict(
    backbone=dict(widen_factor=0.5), neck=dict(in_channels=[48, 96, 192]),
    roi_head=dict(bbox_head=dict(num_classes=80)),  # COCO's, as in a config that somebody takes
    test_cfg=dict(rcnn=dict(score_thr=0.0)))  # two epochs find little
"""


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp('configs') / 'own.py'
    path.write_text(CONFIG.format(root=ROOT))
    return path


@pytest.fixture(scope='module')
def trained(config, shapes_root, tmp_path_factory):
    """A run on the data in YOLO's format: the data, the work dir and the checkpoint."""
    from mmdet_shufflenetv2.engine.training import train
    root, work_dir = tmp_path_factory.mktemp('own') / 'data', tmp_path_factory.mktemp('runs') / 'own'
    LAYOUTS['yolo'](shapes_root, root)
    written = train(config, work_dir=str(work_dir), data=str(root), epochs=1, image_size='64', batch_size=3)
    return root, work_dir, written['checkpoint']


def test_the_checkpoint_knows_classes_and_image_size(trained):
    from mmdet_shufflenetv2.compat.checkpoints import load
    checkpoint = load(trained[2])
    assert checkpoint['meta']['dataset_meta']['classes'] == CLASSES
    assert checkpoint['meta']['dataset_meta']['image_size'] == (64, 64)
    assert checkpoint['state_dict']['roi_head.bbox_head.fc_cls.bias'].shape == (6, )
    assert len(checkpoint['message_hub']['log_scalars']['train/loss'].data[0]) == 4  # 12 images, 3 a step


@pytest.mark.parametrize('other', [None, 'roboflow_coco'])
def test_evaluation_gives_what_the_training_gave_with_no_flag_or_the_same_data_in_another_format(
        tool, trained, config, layout, tmp_path, other):
    more = ['--data', layout(other)] if other else []
    ended = tool('test.py', config, trained[2], '--work-dir', tmp_path / 'run', *more)
    assert ended.status == 0, ended.err
    last = [json.loads(line) for path in trained[1].glob('*/vis_data/scalars.json')
            for line in path.read_text().splitlines()][-1]
    metrics = json.loads((tmp_path / 'run' / 'metrics.json').read_text())
    scores = {key: value for key, value in metrics.items() if key.startswith('coco/')}
    assert len(scores) > 5
    assert scores == pytest.approx({key: last[key] for key in scores}, abs=2e-3, nan_ok=True)


def test_a_checkpoint_that_left_its_run_asks_for_the_data(tool, trained, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(trained[2], 'moved.pth')
    ended = tool('test.py', config, 'moved.pth', '--cfg-options', 'test_dataloader.dataset.data_root=data/coco/')
    assert ended.status == 2
    assert ended.err.startswith('error: moved.pth was trained on your own data (circle, ')
    assert ended.err.endswith('Name the data: --data DIR\n')


def test_inference_and_export_need_no_flag(tool, trained, config, tmp_path):
    root, _, checkpoint = trained
    ended = tool('infer.py', config, checkpoint, root / 'images' / 'val', '--out-dir', tmp_path / 'out')
    assert ended.status == 0, ended.err
    found = json.loads((tmp_path / 'out' / 'results.json').read_text())
    assert {result['category'] for result in found} <= set(CLASSES)
    pytest.importorskip('onnxruntime')
    ended = tool('export.py', config, checkpoint, tmp_path / 'own.onnx')
    assert ended.status == 0, ended.err
    from mmdet_shufflenetv2.deploy import OnnxDetector
    assert tuple(OnnxDetector(tmp_path / 'own.onnx').classes) == CLASSES


def test_train_says_what_it_found_and_starts_from_weights_of_other_classes(tool, trained, config, layout, tmp_path):
    root = layout('yolo')
    for path in (root / 'labels').rglob('*.txt'):
        path.write_text('\n'.join('0' + line[1:] for line in path.read_text().splitlines()))
    (root / 'data.yaml').write_text('train: images/train\nnames: [thing]\n')
    ended = tool('train.py', config, '--data', root, '--epochs', 1, '--freeze', 0, '--lr', 0.001, '--work-dir',
                 tmp_path / 'run', '--cfg-options', f'load_from={trained[2]}')
    assert ended.status == 0, ended.err
    assert f'YOLO format in {root}, 1 classes' in ended.out
    assert '2 of the 12 training images are held out' in ended.out
    assert ended.out.count('another number of classes: the class outputs of roi_head.bbox_head.fc_cls, '
                           'roi_head.bbox_head.fc_reg start anew') == 1
    assert 'size mismatch' not in ended.out + ended.err


@pytest.mark.parametrize(('arguments', 'words'), [
    (['--data', 'nowhere'], '--data nowhere: there is no such folder. Expected COCO'),
    (['--epochs', '0'], '--epochs 0: expected a positive number'),
    (['--image-size', 'huge'], '--image-size huge: expected one number'),
])
def test_mistakes_end_in_one_line(tool, config, tmp_path, arguments, words):
    ended = tool('train.py', config, '--work-dir', tmp_path / 'run', *arguments)
    assert ended.status == 2
    assert f'error: {words}' in ended.err
    assert 'Traceback' not in ended.err


def test_a_classifier_takes_no_boxes(tool, small_classifier, layout, tmp_path):
    ended = tool('train.py', small_classifier, '--data', layout('yolo'), '--work-dir', tmp_path / 'run')
    assert ended.status == 2
    assert '--data is for detectors' in ended.err
