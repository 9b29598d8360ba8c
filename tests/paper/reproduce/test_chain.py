"""A row on small data that is killed and resumed."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from conftest import ROOT, SHARED, needs_shared

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.checkpoints.safe_loading import load
from mmdet_shufflenetv2.paper.reproduce.chain import _result, check_weights, run_row
from mmdet_shufflenetv2.paper.reproduce.folder import read_json, write_json
from mmdet_shufflenetv2.paper.reproduce.request import Request
from mmdet_shufflenetv2.paper.reproduce.rows import Row
from mmdet_shufflenetv2.paper.reproduce.steps import Evaluation, Speed

DETECTOR = """
_base_ = ['{base}']
model = dict(backbone=dict(variant='authors', out_indices=(1, 2, 3)))
train_cfg = dict(max_epochs=1)
"""
CLASSIFIER = """
_base_ = ['{base}']
train_cfg = dict(max_epochs=4)
param_scheduler = dict(end=4)
"""


@pytest.fixture(scope='module')
def configs(tmp_path_factory, small_config, small_classifier):
    """A detector trained for one epoch, and a classifier trained for four as its start."""
    folder = tmp_path_factory.mktemp('configs')
    (folder / 'detector.py').write_text(DETECTOR.format(base=small_config))
    (folder / 'classifier.py').write_text(CLASSIFIER.format(base=small_classifier))
    return str(folder / 'detector.py'), str(folder / 'classifier.py')


@pytest.fixture(scope='module')
def killed(configs, tmp_path_factory):
    """The output folder of a row that was killed in or after the second epoch of pre-training."""
    out = tmp_path_factory.mktemp('runs') / 'coco'
    command = [
        sys.executable,
        ROOT / 'tools' / 'reproduce.py',
        '--table',
        'coco',
        '--width',
        '0.5',
        '--pretrain',
        '--config',
        configs[0],
        '--classifier-config',
        configs[1],
        '--out',
        out,
    ]
    with (
        open(out.with_suffix('.txt'), 'wb') as screen,
        subprocess.Popen(
            command, stdout=screen, stderr=subprocess.STDOUT, env=os.environ | dict(PYTHONPATH=str(ROOT))
        ) as process,
    ):
        while process.poll() is None:
            if any('Epoch(train) [2][3/6]' in log.read_text() for log in out.rglob('*.log')):
                process.send_signal(signal.SIGKILL)
            time.sleep(0.05)
    assert process.returncode == -signal.SIGKILL, out.with_suffix('.txt').read_text()[-3000:]
    return out


@pytest.fixture(scope='module')
def finished(killed, configs):
    """The same row after resuming, and its output."""
    from mmengine.logging import MMLogger

    MMLogger._instance_dict.clear()
    out = shutil.copytree(killed, killed.parent / 'resumed')
    (out / 'pretrain' / 'last_checkpoint').write_text(str(out / 'pretrain' / 'epoch_1.pth'))
    request = Request(Row('coco', 0.5), out, pretrain=True, config=configs[0], classifier_config=configs[1])
    return request, list(run_row(request, resume=True))


@pytest.mark.slow
def test_a_killed_run_leaves_its_checkpoints(killed):
    assert {path.name for path in killed.iterdir()} == {'run.json', 'pretrain'}
    assert (killed / 'pretrain' / 'epoch_1.pth').is_file()
    assert not (killed / 'pretrain' / 'epoch_4.pth').exists()


@pytest.mark.slow
def test_the_run_is_resumed_where_it_was_killed(finished):
    request, lines = finished
    assert lines[0].startswith('pretrain: epoch 1 of 4')
    latest = max((request.out / 'pretrain').glob('*/*.log'))
    assert re.findall(r'Epoch\(train\) \[(\d)\]\[1/6\]', latest.read_text()) == ['2', '3', '4']
    assert [line for line in lines if 'done' in line] == ['pretrain: done', 'train: done', 'test: done']


@pytest.mark.slow
def test_the_detector_starts_from_the_pre_trained_weights(finished):
    request, _ = finished
    classifier = load(request.out / 'pretrain' / 'epoch_4.pth')['state_dict']
    log = max((request.out / 'train').glob('*/*.log')).read_text()
    assert 'ShuffleNetV2 weights: taken from backbone.*, not from fc' in log
    detector = load(request.out / 'train' / 'epoch_1.pth')['state_dict']
    # One epoch with a small learning rate hardly changes the stem.
    drift = (detector['backbone.conv1.0.weight'] - classifier['backbone.conv1.0.weight']).abs().max()
    assert drift < 0.1 * classifier['backbone.conv1.0.weight'].abs().max()


@pytest.mark.slow
def test_the_result_is_the_row(finished):
    request, lines = finished
    result = read_json(request.out / 'result.json')
    metrics = read_json(request.out / 'test' / 'metrics.json')
    assert result['values']['mmap'] == 100 * metrics['coco/bbox_mAP']
    assert {name: step['images'] for name, step in result['steps'].items()} == dict(pretrain=72, train=12, test=6)
    assert f'| ShuffleNet V2 0.5x | mmAP % | 22.5 | {result["values"]["mmap"]:.1f} |  |' in lines[-1]
    assert 'detector.py, pre-trained by classifier.py on 72 images, trained on 12 images, tested on 6, ' in lines[-1]


@pytest.mark.slow
def test_a_finished_row_does_not_run_again(finished):
    request, lines = finished
    before = {path: path.stat().st_mtime for path in request.out.rglob('*.pth')}
    again = list(run_row(request, resume=True))
    assert again[-1] == lines[-1]
    assert {path: path.stat().st_mtime for path in request.out.rglob('*.pth')} == before


@pytest.mark.slow
def test_the_provenance_of_a_finished_row_is_that_of_its_run(finished, shapes_root, tmp_path):
    request, _ = finished
    for step in ('pretrain', 'train', 'test'):
        path = request.out / step / 'provenance.json'
        write_json(path, read_json(path) | dict(machine='Z80', torch='0.1', date='1999-12-31'))
    fewer = shutil.copytree(shapes_root, tmp_path / 'fewer')
    path = fewer / 'annotations' / 'instances_val2017.json'
    annotations = read_json(path)
    write_json(path, annotations | dict(images=annotations['images'][:2]))
    again = list(run_row(replace(request, data_root=str(fewer)), resume=True))
    assert 'tested on 6, Z80, PyTorch 0.1, 1999-12-31.' in again[-1]


@pytest.mark.slow
def test_a_detector_without_detections_has_an_mmap_of_zero(finished):
    request, _ = finished
    write_json(request.out / 'test' / 'metrics.json', {})  # COCO's metric returns nothing
    assert '| ShuffleNet V2 0.5x | mmAP % | 22.5 | 0.0 |  |' in list(run_row(request, resume=True))[-1]


def test_results_have_the_names_of_the_rows_cells(tmp_path):
    write_json(tmp_path / 'metrics.json', {'coco/bbox_mAP': 0.29})
    write_json(tmp_path / 'speed.json', dict(images_per_second=146.0))
    steps = [Evaluation('test', '', tmp_path), Speed('speed', '', tmp_path)]
    result = _result(SimpleNamespace(steps=steps, settings={}))
    assert set(result['values']) == set(Row('coco', 1.0).cells)


@needs_shared('weights/nanodet_plus_m_320.pth')
def test_given_weights_must_be_a_nanodet_plus_of_the_rows_width(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    weights = str(SHARED / 'weights' / 'nanodet_plus_m_320.pth')
    check_weights(Request(Row('nanodet-plus', 1.0, size=416), tmp_path, weights=weights))
    with pytest.raises(UserError, match='stages of 116, 232, 464 .* stages of 176, 352, 704'):
        check_weights(Request(Row('nanodet-plus', 1.5, size=416), tmp_path, weights=weights))
