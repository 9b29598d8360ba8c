import pytest
import torch


@pytest.fixture
def tiny(monkeypatch):
    """Feature maps of 7x7 instead of 56x56, to be fast."""
    monkeypatch.setattr('mmdet_shufflenetv2.paper.guidelines.networks.MAP_SIZE', 7)


@pytest.mark.parametrize('runtime', [pytest.param('torch', marks=pytest.mark.slow), 'onnxruntime'])
def test_a_table_is_measured_and_saved(tool, tiny, tmp_path, runtime):
    if runtime == 'onnxruntime':
        pytest.importorskip('onnx')
        pytest.importorskip(runtime)
    ended = tool(
        'guidelines.py', '--table', 'G2', '--runtime', runtime, '--seconds', 0.01, '--threads', 2, '--out-dir', tmp_path
    )
    assert ended.status == 0, ended.err
    assert '### G2: few groups' in ended.out
    assert 'G2 x4' in ended.err  # progress
    stem = f'{runtime}_arm_2threads_G2'
    assert sorted(path.name for path in tmp_path.iterdir()) == [f'{stem}.json', f'{stem}.md']


def test_results_are_in_a_folder_of_the_machine(tool, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('mmdet_shufflenetv2.paper.guidelines.suite.machine_name', lambda device: 'Z80 (4 MHz)')
    assert tool('guidelines.py', '--table', 'G2', '--seconds', 0.01).status == 0
    assert len(list((tmp_path / 'benchmarks' / 'guidelines' / 'z80-4-mhz').iterdir())) == 2


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        pytest.param(
            ['--device', 'cuda'],
            '--device cuda cannot be used',
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU'),
        ),
        (['--device', 'toaster'], '--device toaster cannot be used'),
        (['--runtime', 'onnxruntime'], 'pip install onnx onnxruntime'),
        (['--threads', '0'], 'must be numbers above 0'),
        (['--seconds', 'nan'], 'must be numbers above 0'),
        (['--seconds', 'inf'], 'must be numbers above 0'),
        (['--device', 'meta'], '--device meta cannot be used'),
    ],
)
def test_missing_inputs_are_reported_in_one_line(tool, tmp_path, monkeypatch, arguments, words):
    monkeypatch.setattr('mmdet_shufflenetv2.paper.guidelines.runtimes.find_spec', lambda name: None)
    ended = tool('guidelines.py', *arguments, '--out-dir', tmp_path / 'out')
    assert ended.status == 2
    said = [line for line in ended.err.splitlines() if 'Warning' not in line]
    assert [line.startswith('error: ') and words in line for line in said[-1:]] == [True], ended.err
    assert 'Traceback' not in ended.err
    assert not (tmp_path / 'out').exists()


def test_folder_that_cannot_be_created_is_reported_before_the_measurement(tool, tmp_path, monkeypatch):
    monkeypatch.setattr('mmdet_shufflenetv2.paper.guidelines.suite.measure_table', None)  # to call it would fail
    (tmp_path / 'file').touch()
    ended = tool('guidelines.py', '--table', 'G2', '--out-dir', tmp_path / 'file' / 'below')
    assert ended.status == 2
    assert '--out-dir' in ended.err
    assert 'Traceback' not in ended.err
