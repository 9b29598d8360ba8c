import pytest
import torch

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.paper.guidelines import suite


@pytest.fixture
def measured(monkeypatch):
    """The requested measurements; nothing is measured."""
    requested = []
    monkeypatch.setattr(suite, 'measure_table', lambda *row, **options: requested.append(row))
    monkeypatch.setattr(suite, 'shufflenet_breakdown', lambda **options: requested.append('breakdown'))
    return requested


def test_a_cpu_is_measured_with_the_arm_channel_counts(measured):
    suite.run(['G2'], family=None)
    assert measured == [('G2', 'arm')]


@pytest.mark.parametrize(
    ('device', 'threads', 'name'),
    [('cpu', 1, 'torch_arm_1thread'), ('cpu', 2, 'torch_arm_2threads'), ('cuda', 2, 'torch_arm')],
)
def test_the_name_of_a_run_is_unique_on_the_machine(device, threads, name):
    assert suite.Run('Z80', device, threads, 'torch 2.15.0', 'arm', [], {}).name == name


def test_a_complete_run_ends_with_the_breakdown(measured):
    suite.run(family='gpu')
    assert measured == [(f'G{number}', 'gpu') for number in (1, 2, 3, 4)] + ['breakdown']


def test_the_number_of_threads_is_set(measured):
    before = torch.get_num_threads()
    try:
        assert suite.run(['G1'], threads=1).threads == torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(guidelines=['G5']), 'G5.*G1, G2, G3, G4'),
        (dict(family='tpu'), 'tpu.*gpu, arm'),
        (dict(threads=0), 'threads=0'),
        (dict(seconds=0), 'seconds=0'),
        (dict(device='nowhere'), 'device=nowhere'),
    ],
)
def test_invalid_arguments_are_reported_before_the_measurement(measured, options, words):
    with pytest.raises(UserError, match=words):
        suite.run(**options)
    assert not measured
