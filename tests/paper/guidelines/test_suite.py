import pytest
import torch

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.paper.guidelines import suite


@pytest.fixture
def measured(monkeypatch):
    """What was asked to be measured; nothing is."""
    asked = []
    monkeypatch.setattr(suite, 'measure_table', lambda guideline, family, **options: asked.append((guideline, family)))
    monkeypatch.setattr(suite, 'shufflenet_breakdown', lambda **options: asked.append('breakdown'))
    return asked


def test_a_cpu_is_measured_with_the_widths_of_the_phone(measured):
    suite.run(['G2'], family=None)
    assert measured == [('G2', 'arm')]


@pytest.mark.parametrize(('device', 'threads', 'name'), [
    ('cpu', 1, 'torch_arm_1thread'), ('cpu', 2, 'torch_arm_2threads'), ('cuda', 2, 'torch_arm')])
def test_a_runs_name_tells_it_from_others_on_the_machine(device, threads, name):
    assert suite.Run('Z80', device, threads, 'torch 2.15.0', 'arm', [], {}).name == name


def test_a_whole_run_ends_with_the_breakdown(measured):
    suite.run(family='gpu')
    assert measured == [(f'G{number}', 'gpu') for number in (1, 2, 3, 4)] + ['breakdown']


def test_the_number_of_threads_is_set(measured):
    before = torch.get_num_threads()
    try:
        assert suite.run(['G1'], threads=1).threads == torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(('options', 'words'), [
    (dict(guidelines=['G5']), "no 'G5': allowed are the guidelines G1, G2, G3, G4"),
    (dict(family='tpu'), "no 'tpu'"),
    (dict(threads=0), 'threads=0'),
    (dict(seconds=0), 'seconds=0'),
    (dict(device='nowhere'), 'device=nowhere cannot be used'),
])
def test_what_cannot_be_measured_is_said_before_anything_is(measured, options, words):
    with pytest.raises(UserError, match=words):
        suite.run(**options)
    assert not measured
