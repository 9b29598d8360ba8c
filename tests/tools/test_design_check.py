import pytest
import torch
from conftest import ROOT

from mmdet_shufflenetv2.paper.design_check.latency import LatencyModel
from mmdet_shufflenetv2.profiling.memory_access import Kind

OURS = ROOT / 'configs' / 'retinanet_snv2_0.5x.py'
SMALL = ('--shape', 64, 64, '--rounds', 2)


@pytest.fixture(autouse=True)
def _calibrated(monkeypatch):
    prices = {'operation': 1e-5, 'multiply-add': 1e-10, 'depthwise': 1e-9} | dict.fromkeys(Kind, 1e-9)
    module = 'mmdet_shufflenetv2.paper.design_check.check'
    monkeypatch.setattr(f'{module}.calibration_networks', lambda device: [])
    monkeypatch.setattr(f'{module}.fit', lambda *args: LatencyModel(prices, 0.1))


def test_one_config_is_listed_by_layer(tool):
    ended = tool('design_check.py', OURS, *SMALL)
    assert ended.status == 0, ended.err
    assert '| stage2.0.branch1.2 | G1 | 1x1, 24 -> 48' not in ended.out  # half of the output's 48
    assert '| stage3.0 | G3 | 5 convolutions, 3 deep |' in ended.out
    assert '| stage2.1 | G4 | cat |' in ended.out
    assert '| retinanet_snv2_0.5x | ShuffleNetV2 |' in ended.out


def test_several_configs_are_compared(tool, tmp_path):
    mmdet = 'mmdet::ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py'
    ended = tool('design_check.py', OURS, mmdet, *SMALL, '--figure', tmp_path / 'both.png')
    assert ended.status == 0, ended.err
    assert '| G4 | cat |' not in ended.out
    assert '| ssdlite_mobilenetv2-scratch_8xb24-600e_coco | MobileNetV2 |' in ended.out
    assert (tmp_path / 'both.png').is_file()


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ([OURS, '--figure', 'design.txt'], 'has an unknown suffix'),
        ([OURS, '--rounds', 0], 'must be above 0'),
        ([OURS, '--device', 'toaster'], '--device toaster cannot be used'),
        pytest.param(
            [OURS, '--device', 'cuda'],
            '--device cuda cannot be used',
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU'),
        ),
        (['configs/no_such.py'], 'Config not found'),
        (['mmdet::no/such.py'], 'cannot be read as a config'),
        ([ROOT / 'configs' / '_base_' / 'coco_1x.py'], 'has no model'),
        (['no_backbone.py'], 'no_backbone.py has no backbone'),
    ],
)
def test_invalid_config_is_reported_in_one_line(tool, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'no_backbone.py').write_text("model = dict(type='DETR', bbox_head=dict(type='DETRHead'))")
    ended = tool('design_check.py', *arguments)
    assert ended.status == 2
    last = [line for line in ended.err.splitlines() if 'Warning' not in line][-1]
    assert last.startswith('error: '), ended.err
    assert words in last
    assert 'Traceback' not in ended.err
