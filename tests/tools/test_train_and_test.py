"""tools/train.py, test.py and infer.py on a small run, and its numbers against pycocotools."""

import contextlib
import io
import json
import multiprocessing
import pickle
import shutil

import numpy as np
import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmdet_shufflenetv2 import Detector
from mmdet_shufflenetv2.checkpoints.safe_loading import load
from mmdet_shufflenetv2.inference.models import find_models


@pytest.fixture(scope='module')
def trained(small_config, tmp_path_factory):
    """A run of two epochs, and the result of train()."""
    from mmdet_shufflenetv2.training.train import train

    work_dir = tmp_path_factory.mktemp('runs') / 'small'
    return work_dir, train(small_config, work_dir=str(work_dir))


def test_a_run_leaves_checkpoint_log_and_curves(trained):
    work_dir, written = trained
    assert written['checkpoint'] == work_dir / 'epoch_2.pth'
    assert written['best'] == work_dir / 'best.pth'
    [best] = work_dir.glob('best_coco_bbox_mAP_50_epoch_*.pth')
    assert written['best'].samefile(best)
    assert all(path.exists() for path in written.values())
    assert written['curves'].name == 'curves.png'


def test_checkpoint_without_its_log_loads_with_weights_only(trained):
    from mmdet_shufflenetv2.checkpoints.safe_loading import load

    checkpoint = load(trained[1]['checkpoint'])
    assert checkpoint['meta']['epoch'] == 2
    assert checkpoint['meta']['dataset_meta']['classes'][0] == 'circle'
    assert len(checkpoint['message_hub']['log_scalars']['train/loss'].data[0]) == 6


def test_evaluation_equals_pycocotools_on_the_same_results_file(tool, trained, small_config, shapes_root, tmp_path):
    ended = tool(
        'test.py', small_config, trained[1]['checkpoint'], '--work-dir', tmp_path, '--out', tmp_path / 'r.json'
    )
    assert ended.status == 0, ended.err
    assert 'Average Precision' in ended.out
    assert '| circle' in ended.out  # AP per class
    assert 'NaN' not in ''.join(path.read_text() for path in tmp_path.rglob('*.json'))
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    truth = COCO(shapes_root / 'annotations' / 'instances_val2017.json')
    evaluation = COCOeval(truth, truth.loadRes(str(tmp_path / 'r.json')), 'bbox')
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    for place, name in enumerate(('bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_75')):
        assert metrics[f'coco/{name}'] == pytest.approx(evaluation.stats[place], abs=6e-4)
    assert not list(tmp_path.glob('*.bbox.json'))
    images, objects = len(truth.imgs), len(truth.anns)
    assert (
        f'evaluating on the val split: {shapes_root}/annotations/instances_val2017.json ({images} images, '
        f'{objects} annotations), images in {shapes_root}/val2017' in ended.out
    )
    analyzed = tool('analyze.py', tmp_path / 'r.json', '--out', tmp_path / 'report.html')  # needs nothing else
    assert analyzed.status == 0, analyzed.err
    assert f'mmAP {evaluation.stats[0]:.3f}, AP50 {evaluation.stats[1]:.3f}' in analyzed.out


@pytest.mark.parametrize(
    ('out', 'change'),
    [('r.json', lambda content: content.pop('annotations')), ('r.pkl', lambda content: content['annotations'].clear())],
)
def test_predicts_on_a_test_set_without_annotations(tool, trained, small_config, shapes_root, tmp_path, out, change):
    content = json.loads((shapes_root / 'annotations' / 'instances_val2017.json').read_text())
    change(content)
    (tmp_path / 'a.json').write_text(json.dumps(content))
    arguments = [
        'test.py',
        small_config,
        trained[1]['checkpoint'],
        '--work-dir',
        tmp_path,
        '--cfg-options',
        *(f'{key}={tmp_path / "a.json"}' for key in ('test_dataloader.dataset.ann_file', 'test_evaluator.ann_file')),
    ]
    refused = tool(*arguments)
    assert refused.status == 2
    assert 'a.json has no annotations' in refused.err
    assert '--out results.json' in refused.err
    ended = tool(*arguments, '--out', tmp_path / out)
    assert ended.status == 0, ended.err
    assert 'without metrics' in ended.out
    assert not (tmp_path / 'metrics.json').exists()
    if out == 'r.json':
        assert {one['image_id'] for one in json.loads((tmp_path / out).read_text())} == {
            image['id'] for image in content['images']
        }
    else:
        assert len(pickle.loads((tmp_path / out).read_bytes())) == len(content['images'])


def test_format_only_writes_detections_despite_annotations(tool, trained, small_config, tmp_path):
    ended = tool(
        'test.py',
        small_config,
        trained[1]['checkpoint'],
        '--work-dir',
        tmp_path,
        '--out',
        tmp_path / 'r.json',
        '--cfg-options',
        'test_evaluator.format_only=True',
    )
    assert ended.status == 0, ended.err
    assert json.loads((tmp_path / 'r.json').read_text())
    assert not (tmp_path / 'metrics.json').exists()


def test_detections_can_be_dumped_and_drawn(tool, trained, small_config, tmp_path):
    ended = tool(
        'test.py',
        small_config,
        trained[1]['checkpoint'],
        '--work-dir',
        tmp_path,
        '--out',
        tmp_path / 'r.pkl',
        '--show-dir',
        'figures',
        '--tta',
    )
    assert ended.status == 0, ended.err
    assert len(pickle.loads((tmp_path / 'r.pkl').read_bytes())) == 6
    assert len(list(tmp_path.glob('*/figures/*.jpg'))) == 6


def test_infer_draws_images_and_writes_results_that_pycocotools_reads(
    tool, trained, small_config, shapes_root, tmp_path
):
    one = shutil.copy(shapes_root / 'train2017' / '000000000001.jpg', tmp_path / 'holiday.jpg')
    ended = tool(
        'infer.py',
        small_config,
        trained[1]['checkpoint'],
        shapes_root / 'val2017',
        '--out-dir',
        tmp_path / 'a',
        '--device',
        'cpu',
    )
    assert ended.status == 0, ended.err
    assert {p.name for p in (tmp_path / 'a' / 'vis').iterdir()} == {p.name for p in (shapes_root / 'val2017').iterdir()}
    results = json.loads((tmp_path / 'a' / 'results.json').read_text())
    truth = COCO(shapes_root / 'annotations' / 'instances_val2017.json')
    assert {r['category_id'] for r in results} <= {1, 2, 3, 4, 5}
    truth.loadRes(results)  # the image ids are those of the file names
    both = tool(
        'infer.py',
        small_config,
        trained[1]['checkpoint'],
        one,
        shapes_root / 'val2017',
        '--out-dir',
        tmp_path / 'b',
        '--device',
        'cpu',
    )
    assert both.status == 0, both.err
    counted = json.loads((tmp_path / 'b' / 'results.json').read_text())
    assert {r['image_id'] for r in counted} <= set(range(1, 8))
    # The detections themselves do not depend on what else was given.
    of = [r for r in counted if r['file_name'] == '000000000003.jpg']
    assert [(r['bbox'], r['score']) for r in of] == [
        (r['bbox'], r['score']) for r in results if r['file_name'] == '000000000003.jpg'
    ]


def test_infer_matches_test(tool, trained, small_config, shapes_root, tmp_path):
    tool('test.py', small_config, trained[1]['checkpoint'], '--work-dir', tmp_path, '--out', tmp_path / 'r.json')
    tool('infer.py', small_config, trained[1]['checkpoint'], shapes_root / 'val2017', '--out-dir', tmp_path / 'o')
    tested, inferred = (json.loads((tmp_path / name).read_text()) for name in ('r.json', 'o/results.json'))

    def best(results):
        return sorted((r['image_id'], round(r['score'], 3), r['category_id']) for r in results if r['score'] > 0.1)

    assert best(tested) == best(inferred)


DETERMINISTIC = """
_base_ = ['{config}']
# Nothing random but the order of the images: RetinaNet's sampler takes all boxes, and no image is flipped.
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(96, 96), keep_ratio=True), dict(type='PackDetInputs')]))
train_cfg = dict(max_epochs=4, val_interval=4)
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=4),
                   dict(type='MultiStepLR', by_epoch=True, milestones=[3], gamma=0.1)]
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=-1, save_best=None))
custom_hooks = {hooks}
model = dict(
    train_cfg=dict(rpn=dict(sampler=dict(type='PseudoSampler', _delete_=True)),
                   rcnn=dict(sampler=dict(type='PseudoSampler', _delete_=True))))
"""


@pytest.mark.slow  # tests/durable asks for more in less time
@pytest.mark.parametrize('hooks', ['[]', "[dict(type='EMAHook', ema_type='ExpMomentumEMA')]"], ids=['plain', 'ema'])
def test_resumed_run_has_the_weights_of_an_uninterrupted_one(small_config, tmp_path, hooks):
    from mmdet_shufflenetv2.checkpoints.safe_loading import load
    from mmdet_shufflenetv2.training.train import train

    config = tmp_path / 'deterministic.py'
    config.write_text(DETERMINISTIC.format(config=small_config, hooks=hooks))
    whole = train(config, work_dir=str(tmp_path / 'whole'))['checkpoint']
    shutil.copytree(tmp_path / 'whole', tmp_path / 'stopped')
    for epoch in (3, 4):
        (tmp_path / 'stopped' / f'epoch_{epoch}.pth').unlink()
    (tmp_path / 'stopped' / 'last_checkpoint').write_text(str(tmp_path / 'stopped' / 'epoch_2.pth'))
    resumed = train(config, work_dir=str(tmp_path / 'stopped'), resume='auto')['checkpoint']
    assert whole.name == resumed.name == 'epoch_4.pth'
    a, b = load(whole), load(resumed)
    for key, tensor in a['state_dict'].items():
        assert torch.equal(tensor, b['state_dict'][key]), key
    assert ('ema_state_dict' in a) == ('EMA' in hooks)
    for key, tensor in a.get('ema_state_dict', {}).items():
        assert torch.equal(tensor, b['ema_state_dict'][key]), key
    losses = [run['message_hub']['log_scalars']['train/loss'].data[0] for run in (a, b)]
    assert losses[0].tolist() == losses[1].tolist()


@pytest.mark.slow
def test_train_resumes_from_a_given_checkpoint(tool, trained, small_config, tmp_path):
    ended = tool(
        'train.py',
        small_config,
        '--work-dir',
        tmp_path,
        '--resume',
        trained[0] / 'epoch_1.pth',
        '--cfg-options',
        'default_hooks.logger.interval=3',
    )
    assert ended.status == 0, ended.err
    assert f'checkpoint: {tmp_path / "epoch_2.pth"}' in ended.out
    [log] = tmp_path.glob('*/*.log')
    assert 'Epoch(train) [2][3/3]' in log.read_text()
    assert 'Epoch(train) [1]' not in log.read_text()


@pytest.mark.slow
def test_demo_trains_on_one_thread_without_waiting_for_workers(tool, small_config, tmp_path, monkeypatch):
    loaders = Config.fromfile(ROOT / 'configs' / 'faster_rcnn_snv2_shapes.py')
    workers = {
        name: {key: loaders[name][key] for key in ('num_workers', 'persistent_workers')}
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader')
    }
    (tmp_path / 'with_workers.py').write_text(
        '\n'.join(
            [
                f'_base_ = ["{small_config}"]',
                'train_cfg = dict(max_epochs=1)',
                *(f'{k} = {v}' for k, v in workers.items()),
            ]
        )
    )
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    before = set(multiprocessing.active_children())
    ended = tool('demo.py', '--config', tmp_path / 'with_workers.py', '--work-dir', tmp_path / 'run')
    assert ended.status == 0, ended.err
    assert 'CPU, 1 threads' in ended.out
    assert set(multiprocessing.active_children()) <= before
    assert len(list((tmp_path / 'run').glob('figures/*'))) == 6


def test_mmdetection_entry_points_accept_the_config(trained, small_config, shapes_root):
    from mmdet.apis import DetInferencer, inference_detector, init_detector

    image = str(shapes_root / 'val2017' / '000000000001.jpg')
    model = init_detector(str(small_config), str(trained[1]['checkpoint']), device='cpu')
    found = inference_detector(model, image).pred_instances
    inferencer = DetInferencer(str(small_config), str(trained[1]['checkpoint']), device='cpu', show_progress=False)
    predictions = inferencer(image)['predictions'][0]
    assert predictions['scores'] == pytest.approx(found.scores.tolist(), abs=1e-5)


@pytest.mark.slow
def test_mmdetection_train_py_accepts_the_config(small_config, tmp_path):
    import os
    import subprocess
    import sys

    import mmdet

    script = os.path.join(mmdet.__path__[0], '.mim', 'tools', 'train.py')
    done = subprocess.run(
        [sys.executable, script, small_config, '--work-dir', tmp_path, '--cfg-options', 'train_cfg.max_epochs=1'],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / 'epoch_1.pth').is_file()


@pytest.fixture
def moved(trained, tmp_path, monkeypatch):
    """Only the checkpoint of the run, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return shutil.copy(trained[1]['checkpoint'], tmp_path / 'best.pth')


def test_checkpoint_without_config_gives_the_same_metrics(tool, moved, trained, small_config, tmp_path):
    for arguments in (['best.pth'], [small_config, 'best.pth'], ['best.pth', 'best.pth']):
        ended = tool('test.py', *arguments)
        assert ended.status == 0, ended.err
    alone, named = (
        json.loads((tmp_path / 'work_dirs' / name / 'metrics.json').read_text()) for name in ('best', small_config.stem)
    )
    assert alone == named


def test_every_tool_accepts_a_checkpoint_without_config(tool, moved, small_config, shapes_root, tmp_path):
    image = shapes_root / 'val2017' / '000000000001.jpg'
    expected, found = Detector(small_config, 'best.pth')(image), Detector('best.pth')(image)
    for ours, theirs in zip(found, expected):
        assert np.array_equal(ours, theirs)
    for name, arguments in (
        ('infer.py', ['best.pth', image]),
        ('browse.py', ['best.pth', '--count', '2']),
        ('export.py', ['best.pth', 'backbone.onnx', '--backbone-only']),
    ):
        ended = tool(name, *arguments)
        assert ended.status == 0, ended.err
    assert len(json.loads((tmp_path / 'outputs' / 'results.json').read_text())) == len(found.scores)
    assert (tmp_path / 'backbone.onnx').is_file()
    assert find_models(['best.pth'])['best.pth'].weights == 'best.pth'


def test_every_tool_rejects_code_in_the_config_of_a_checkpoint(tool, moved, shapes_root, tmp_path):
    checkpoint = load('best.pth')
    image = shapes_root / 'val2017' / '000000000001.jpg'
    (tmp_path / 'ran.py').write_text("open('ran', 'w')")
    for text in ("\nopen('ran', 'w')", "\ncustom_imports = dict(imports=['ran'])"):
        torch.save(checkpoint | dict(meta=checkpoint['meta'] | dict(cfg=checkpoint['meta']['cfg'] + text)), 'best.pth')
        for name, arguments in (('test.py', []), ('infer.py', [image]), ('export.py', ['x.onnx']), ('browse.py', [])):
            ended = tool(name, 'best.pth', *arguments)
            assert ended.status == 2
            assert 'CONFIG best.pth' in ended.err
            assert len(ended.err.splitlines()) == 2
    assert not (tmp_path / 'ran').exists()
