"""tools/train.py on a data set of the user's own, then test.py, infer.py and export.py with no flag about it."""

import json
import shutil

import pytest
import torch
from conftest import ROOT
from own_data_layouts import CLASSES, LAYOUTS

from mmdet_shufflenetv2.checkpoints.safe_loading import load

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
    from mmdet_shufflenetv2.training.train import train

    root, work_dir = tmp_path_factory.mktemp('own') / 'data', tmp_path_factory.mktemp('runs') / 'own'
    LAYOUTS['yolo'](shapes_root, root)
    written = train(config, work_dir=str(work_dir), data=str(root), epochs=1, image_size='64', batch_size=3)
    return root, work_dir, written['checkpoint']


def test_checkpoint_has_classes_and_image_size(trained):
    from mmdet_shufflenetv2.checkpoints.safe_loading import load

    checkpoint = load(trained[2])
    assert checkpoint['meta']['dataset_meta']['classes'] == CLASSES
    assert checkpoint['meta']['dataset_meta']['image_size'] == (64, 64)
    assert checkpoint['state_dict']['roi_head.bbox_head.fc_cls.bias'].shape == (6,)
    assert len(checkpoint['message_hub']['log_scalars']['train/loss'].data[0]) == 4  # 12 images, 3 a step


def test_checkpoint_as_config_is_trained_on_other_data(trained, layout, tmp_path, capfd):
    from mmdet_shufflenetv2.training.train import train

    train(trained[2], work_dir=str(tmp_path / 'more'), data=str(layout('coco')), epochs=1, lr=1e-12)
    before, after = load(trained[2]), load(tmp_path / 'more' / 'epoch_1.pth')
    for key, weight in before['state_dict'].items():
        if key.endswith('weight'):
            assert torch.allclose(weight, after['state_dict'][key], atol=1e-6), key
    assert str(tmp_path / 'more' / 'broken_images.jsonl') in after['meta']['cfg']
    assert str(trained[1]) not in after['meta']['cfg'].replace(str(trained[2]), '')


@pytest.mark.parametrize('other', [None, 'roboflow_coco', 'roboflow_voc'])
def test_evaluation_matches_the_training_without_flags(tool, trained, config, layout, tmp_path, other):
    more = ['--data', layout(other)] if other else []
    ended = tool('test.py', config, trained[2], '--work-dir', tmp_path / 'run', *more)
    assert ended.status == 0, ended.err
    last = [
        json.loads(line)
        for path in trained[1].glob('*/vis_data/scalars.json')
        for line in path.read_text().splitlines()
    ][-1]
    metrics = json.loads((tmp_path / 'run' / 'metrics.json').read_text())
    scores = {key: value for key, value in metrics.items() if key.startswith('coco/')}
    assert len(scores) > 5
    assert scores == pytest.approx({key: last[key] for key in scores}, abs=2e-3, nan_ok=True)


def test_moved_checkpoint_needs_the_data(tool, trained, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(trained[2], 'moved.pth')
    ended = tool('test.py', config, 'moved.pth', '--cfg-options', 'test_dataloader.dataset.data_root=data/coco/')
    assert ended.status == 2
    assert ended.err.startswith('error: moved.pth was trained on your own data (circle, ')
    assert ended.err.endswith('Name the data: --data DIR\n')


def test_inference_and_export_need_no_flags(tool, trained, config, tmp_path):
    root, _, checkpoint = trained
    ended = tool('infer.py', config, checkpoint, root / 'images' / 'val', '--out-dir', tmp_path / 'out')
    assert ended.status == 0, ended.err
    found = json.loads((tmp_path / 'out' / 'results.json').read_text())
    assert {result['category'] for result in found} <= set(CLASSES)
    pytest.importorskip('onnxruntime')
    ended = tool('export.py', config, checkpoint, tmp_path / 'own.onnx')
    assert ended.status == 0, ended.err
    from mmdet_shufflenetv2.deploy import ExportedDetector

    assert tuple(ExportedDetector(tmp_path / 'own.onnx').classes) == CLASSES


@pytest.fixture(scope='module')
def nameless(trained, tmp_path_factory):
    """Only the checkpoint's weights, without metadata about classes."""
    path = tmp_path_factory.mktemp('nameless') / 'weights.pth'
    torch.save({'state_dict': load(trained[2])['state_dict']}, path)
    return path


# Metadata of the checkpoint that its weights lack.
LIKE_TRAINED = ['--cfg-options', 'test_dataloader.dataset.pipeline.1.scale=(64,64)']
FIVE = 'model.roi_head.bbox_head.num_classes=5'


def rewrite(root, change):
    """Change every annotation file of COCO's layout."""
    for path in (root / 'annotations').glob('*.json'):
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))


def leave(content, names):
    content['categories'] = [category for category in content['categories'] if category['name'] in names]
    ids = [category['id'] for category in content['categories']]
    content['annotations'] = [a for a in content['annotations'] if a['category_id'] in ids]


def found(tool, tmp_path, root, *arguments):
    """Detections of test.py in COCO's layout by image name, the metrics, and the output."""
    ended = tool(
        'test.py',
        *arguments[:2],
        '--data',
        root,
        '--work-dir',
        tmp_path / 'run',
        '--out',
        tmp_path / 'found.json',
        *arguments[2:],
    )
    assert ended.status == 0, ended.err
    content = json.loads((root / 'annotations' / 'instances_val2017.json').read_text())
    names = {category['id']: category['name'] for category in content['categories']}
    detections = json.loads((tmp_path / 'found.json').read_text())
    return (
        {(one['image_id'], names[one['category_id']], *map(round, one['bbox'])) for one in detections},
        json.loads((tmp_path / 'run' / 'metrics.json').read_text()),
        ended.err,
    )


def test_weights_without_class_names_use_those_of_the_config(tool, trained, nameless, config, layout, tmp_path):
    root = layout('coco')
    expected, *_ = found(tool, tmp_path, root, config, trained[2])
    assert len({name for _, name, *_ in expected}) > 1
    rewrite(root, lambda content: content['categories'].reverse())
    assert found(tool, tmp_path, root, config, trained[2])[0] == expected
    by_config, _, said = found(tool, tmp_path, root, config, nameless, *LIKE_TRAINED, FIVE)
    assert by_config == expected
    assert 'no class names' not in said
    # The config has 80 classes and the weights five.
    *_, said = found(tool, tmp_path, root, config, nameless, *LIKE_TRAINED)
    assert 'no class names. The names of the data are used' in said


def test_data_with_some_of_the_classes_can_be_evaluated(tool, trained, nameless, config, layout, tmp_path):
    root, names = layout('coco'), ('star', 'circle')
    expected, *_ = found(tool, tmp_path, root, config, trained[2])
    rewrite(root, lambda content: leave(content, names))
    for arguments in ((trained[2],), (nameless, *LIKE_TRAINED, FIVE)):
        some, scores, said = found(tool, tmp_path, root, config, *arguments)
        assert some == {one for one in expected if one[1] in names}
        assert {key for key in scores if key.endswith('_precision')} == {f'coco/{name}_precision' for name in names}
        assert '2 of the 5 classes' in said


@pytest.mark.slow
def test_results_have_the_category_ids_of_the_training(tool, config, layout, tmp_path):
    root = layout('coco')
    rewrite(
        root,
        lambda content: [
            entry.update({key: 50 - 7 * entry[key]})
            for kind, key in (('categories', 'id'), ('annotations', 'category_id'))
            for entry in content[kind]
        ],
    )
    names = {
        category['id']: category['name']
        for category in json.loads(next((root / 'annotations').glob('*val*')).read_text())['categories']
    }
    ended = tool('train.py', config, '--data', root, '--epochs', 1, '--image-size', 64, '--work-dir', tmp_path / 'run')
    assert ended.status == 0, ended.err
    checkpoint = tmp_path / 'run' / 'epoch_1.pth'
    ended = tool('infer.py', config, checkpoint, root / 'val2017', '--out-dir', tmp_path / 'out')
    assert ended.status == 0, ended.err
    inferred = json.loads((tmp_path / 'out' / 'results.json').read_text())
    assert len({one['category_id'] for one in inferred}) > 1
    assert all(names[one['category_id']] == one['category'] for one in inferred)
    ended = tool('test.py', config, checkpoint, '--work-dir', tmp_path / 'run', '--out', tmp_path / 'tested.json')
    assert ended.status == 0, ended.err
    tested = json.loads((tmp_path / 'tested.json').read_text())
    assert {one['category_id'] for one in tested} == {one['category_id'] for one in inferred}
    pytest.importorskip('onnxruntime')
    ended = tool('export.py', config, checkpoint, tmp_path / 'own.onnx')
    assert ended.status == 0, ended.err
    from mmdet_shufflenetv2 import Detector

    detector = Detector(tmp_path / 'own.onnx')
    assert [names[number] for number in detector.category_ids] == list(detector.classes)


@pytest.mark.slow
def test_train_summarizes_the_data_and_starts_from_weights_of_other_classes(tool, trained, config, layout, tmp_path):
    root = layout('yolo')
    for path in (root / 'labels').rglob('*.txt'):
        path.write_text('\n'.join('0' + line[1:] for line in path.read_text().splitlines()))
    (root / 'data.yaml').write_text('train: images/train\nnames: [thing]\n')
    ended = tool(
        'train.py',
        config,
        '--data',
        root,
        '--epochs',
        1,
        '--freeze',
        0,
        '--lr',
        0.001,
        '--work-dir',
        tmp_path / 'run',
        '--cfg-options',
        f'load_from={trained[2]}',
    )
    assert ended.status == 0, ended.err
    assert f'YOLO format in {root}, 1 classes' in ended.out
    assert '2 of the 12 training images are held out' in ended.out
    assert ended.out.count('roi_head.bbox_head.fc_cls, roi_head.bbox_head.fc_reg') == 1
    assert 'size mismatch' not in ended.out + ended.err


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--data', 'nowhere'], '--data nowhere: folder not found. Expected COCO'),
        (['--epochs', '0'], '--epochs 0: expected a positive number'),
        (['--image-size', 'huge'], '--image-size huge: expected one number'),
    ],
)
def test_mistakes_are_reported_in_one_line(tool, config, tmp_path, arguments, words):
    ended = tool('train.py', config, '--work-dir', tmp_path / 'run', *arguments)
    assert ended.status == 2
    assert f'error: {words}' in ended.err
    assert 'Traceback' not in ended.err


def test_classifier_rejects_boxes(tool, small_classifier, layout, tmp_path):
    ended = tool('train.py', small_classifier, '--data', layout('yolo'), '--work-dir', tmp_path / 'run')
    assert ended.status == 2
    assert '--data is for detectors' in ended.err
