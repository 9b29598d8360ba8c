import itertools
import json
import os
import re
import signal

import numpy as np
import pytest
import torch
from conftest import ROOT

from mmdet_shufflenetv2.profiling.benchmark import backbones, detectors, measure, report
from mmdet_shufflenetv2.profiling.benchmark.task import Contender, Task, UnavailableError
from mmdet_shufflenetv2.profiling.timing import Timing

SMALL = Task(64, 96, threads=1, widen_factor=0.5)


def outputs(call):
    """Outputs of a form, as a list of arrays."""
    returned = call()
    values = list(returned.values()) if hasattr(returned, 'values') else list(returned)
    return [value.numpy() if isinstance(value, torch.Tensor) else np.asarray(value) for value in values]


def forms(task):
    return [contender.name for contender in measure.contenders(task)]


@pytest.mark.parametrize(
    'name',
    [
        name
        for name in forms(SMALL)
        if 'left to the neck' not in name and 'compiled' not in name and 'mmpretrain' not in name
    ],
)
def test_every_form_of_a_backbone_computes_the_same_features(name):
    by_name = {contender.name: contender.build for contender in measure.contenders(SMALL)}
    try:
        got = outputs(by_name[name]())
    except UnavailableError as error:
        pytest.skip(str(error))
    for a, b in zip(got, outputs(by_name['torchvision, eager']()), strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max()


def test_a_runtime_that_is_not_installed_is_left_out_with_the_reason(monkeypatch):
    monkeypatch.setattr('mmdet_shufflenetv2.profiling.benchmark.runtimes.find_spec', lambda name: None)

    def few(task):
        return [
            Contender('one', lambda: lambda: None),
            *(c for c in backbones.backbone_contenders(task) if 'plain' in c.name),
        ]

    monkeypatch.setattr(measure, 'contenders', few)
    done = measure.benchmark(SMALL, rounds=2, memory=False)
    assert [row.name for row in done.rows] == ['one']
    assert list(done.left_out) == ['onnxruntime, plain graph', 'openvino, plain graph', 'ncnn, plain']
    assert re.search(r'onnxruntime, plain graph: .*pip install onnx', report.markdown(done))


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_onnxruntime_without_a_gpu_provider_is_left_out_on_a_gpu():
    pytest.importorskip('onnxruntime')
    by_name = {contender.name: contender.build for contender in measure.contenders(SMALL._replace(device='cuda'))}
    with pytest.raises(UnavailableError, match='CUDAExecutionProvider.*pip install'):
        by_name['onnxruntime, plain graph']()


@pytest.mark.gpu
@pytest.mark.parametrize('name', ['ours, CUDA graph', 'shuffle-free, CUDA graph'])
def test_a_cuda_graph_computes_the_same_features(name):
    by_name = {contender.name: contender.build for contender in measure.contenders(SMALL._replace(device='cuda'))}
    for got, expected in zip(by_name[name]()(), by_name['ours, eager']()(), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-2, atol=1e-2)  # TF32


def test_multiply_adds_and_memory_access_are_those_of_the_plain_network(monkeypatch):
    monkeypatch.setattr(measure, 'contenders', lambda task: [Contender('one', lambda: lambda: None)])
    done = measure.benchmark(Task(224, 224, widen_factor=1.0), rounds=1, memory=False)
    # torchvision's count, without conv5 (464 x 1024 at 7x7) and the classifier.
    assert done.multiply_adds / 1e6 == pytest.approx(144.9 - 23.28 - 1.024, abs=0.1)
    # cat and shuffle of the 16 units read and write their whole width.
    units = 116 * 28**2 * 4 + 232 * 14**2 * 8 + 464 * 7**2 * 4
    assert done.copied == 2 * 2 * units


def test_speed_is_the_median_of_the_rounds_ratios(monkeypatch):
    monkeypatch.setattr(
        measure,
        'contenders',
        lambda task: [Contender('slow', lambda: lambda: None), Contender('fast', lambda: lambda: None, plain='slow')],
    )
    seconds = {'slow': [4.0, 2.0, 9.0], 'fast': [2.0, 2.0, 3.0]}
    monkeypatch.setattr(measure, 'time_alternating', lambda *_, **__: seconds)
    rows = measure.benchmark(SMALL, memory=False).rows
    assert [(row.name, row.speedup, row.against_plain) for row in rows] == [('slow', 1.0, None), ('fast', 2.0, 2.0)]
    assert rows[1].timing == Timing(2.0, pytest.approx(2.8), pytest.approx(0.25))


@pytest.mark.slow
def test_a_detector_is_measured_from_image_to_boxes():
    task = Task(64, 96, threads=1, config=str(ROOT / 'configs' / 'faster_rcnn_snv2_0.5x.py'))
    by_name = {contender.name: contender.build for contender in detectors.detector_contenders(task)}
    [sample] = by_name['shuffle-free, eager']()()
    assert sample.pred_instances.bboxes.shape[1] == 4
    dets, labels = by_name['onnxruntime, shuffle-free']()()
    assert dets.shape == (len(labels), 5)


@pytest.mark.slow
def test_the_command_writes_a_table_a_figure_and_json(tool, tmp_path):
    ended = tool(
        'benchmark.py',
        '--width',
        0.5,
        '--shape',
        32,
        64,
        '--rounds',
        1,
        '--threads',
        1,
        '--no-memory',
        '--skip',
        'compiled',
        'left to',
        '--out-dir',
        tmp_path,
    )
    assert ended.status == 0, ended.err
    assert re.search(r'\| shuffle-free, eager \| [\d.]+ ms', (tmp_path / 'README.md').read_text())
    [done] = json.loads((tmp_path / 'results.json').read_text())
    assert done['task']['height'] == 32
    assert (tmp_path / 'latency.png').stat().st_size > 5000


@pytest.mark.parametrize(
    ('number', 'at', 'rounds', 'tasks'),
    [
        (signal.SIGINT, 5, 2, 1),  # three warm-up rounds
        (signal.SIGTERM, 8 + 4, 1, 2),  # in the second task
    ],
)
def test_measurements_before_a_signal_are_kept_as_partial(tool, tmp_path, monkeypatch, number, at, rounds, tasks):
    calls = itertools.count()

    def call():
        if next(calls) == at:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(measure, 'contenders', lambda task: [Contender('ours', lambda: call)])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        ended = tool(
            'benchmark.py', '--shape', 32, 32, '--shape', 64, 64, '--rounds', 5, '--no-memory', '--out-dir', tmp_path
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.status == 128 + number, ended.err
    assert 'partial' in ended.err
    done = json.loads((tmp_path / 'results.json').read_text())
    assert [result['stopped'] for result in done] == [None] * (tasks - 1) + [f'stopped after {rounds} of 5 rounds']
    report = (tmp_path / 'README.md').read_text()
    assert f'**Partial: stopped after {rounds} of 5 rounds.**' in report
    assert ('stopped before ShuffleNet V2 1.0x at 64x64' in report) == (tasks == 1)


@pytest.mark.parametrize(
    ('args', 'words'),
    [
        (['--width', '0.7'], ['--width 0.7', '0.5, 1.0, 1.5, 2.0']),
        (['--shape', '16', '640'], ['--shape 16 640', '32']),
        (['--threads', '0'], ['--threads 0']),
        (['--device', 'cuda:9'], ['cuda:9']),
        (['--device', 'meta'], ['--device meta']),
        (['--config', 'configs/nothing.py'], ['configs/nothing.py']),
        (['--config', ROOT / 'configs' / 'imagenet' / 'shufflenet_v2_0.5x.py'], ['detector', 'ImageClassifier']),
        (['--checkpoint', 'weights.pth'], ['weights.pth', 'Checkpoint']),
        (['--skip', ','], ['--skip , ', 'torchvision, eager, mmpretrain, eager']),
        (['--skip', 'eager', 'compiled', 'onnx', 'openvino', 'shuffle'], ['ncnn', 'not installed']),
    ],
)
def test_a_mistake_exits_with_status_2_and_one_line(args, words, tool, tmp_path, monkeypatch):
    monkeypatch.setattr('mmdet_shufflenetv2.profiling.benchmark.runtimes.find_spec', lambda name: None)
    ended = tool('benchmark.py', '--rounds', 1, '--no-memory', '--out-dir', tmp_path, *args)
    assert ended.status == 2
    assert all(word in ended.err for word in words), ended.err
    assert 'Traceback' not in ended.err


def test_a_folder_that_cannot_be_created_is_reported_before_the_measurement(tool, tmp_path, monkeypatch):
    monkeypatch.setattr('mmdet_shufflenetv2.profiling.benchmark.benchmark', None)  # fails if called
    (tmp_path / 'file').touch()
    ended = tool('benchmark.py', '--out-dir', tmp_path / 'file')
    assert ended.status == 2
    assert '--out-dir' in ended.err
    assert 'Traceback' not in ended.err
