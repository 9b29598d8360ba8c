import pytest
import torch
from conftest import ROOT
from torch import nn

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.profiling.complexity import Complexity, count_multiply_adds, detector_complexity, markdown_table


@pytest.mark.parametrize(
    ('layer', 'shape', 'expected'),
    [
        (nn.Conv2d(3, 8, 3, padding=1), (1, 3, 10, 12), 3 * 8 * 9 * 120),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), (2, 8, 10, 12), 2 * 8 * 9 * 120),
        (nn.Linear(7, 5), (4, 7), 4 * 7 * 5),
        (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()), (1, 3, 4, 4), 0),
    ],
)
def test_multiply_adds_match_the_closed_form(layer, shape, expected):
    assert count_multiply_adds(layer.eval(), torch.rand(shape)) == expected


def test_a_detector_is_counted_with_all_its_parts():
    row = detector_complexity(ROOT / 'configs' / 'retinanet_snv2_0.5x.py', 64, 96)
    assert row.name == 'retinanet_snv2_0.5x'
    # Level sizes of a 64x96 image; two towers of four 256-wide 3x3 convolutions, 9 anchors per position.
    cells = sum(h * w for h, w in ((8, 12), (4, 6), (2, 3), (1, 2), (1, 1)))
    towers = cells * (2 * 4 * 256 * 256 * 9 + 256 * 9 * 9 * (80 + 4))
    lateral = 256 * (96 * 48 + 24 * 96 + 6 * 192)
    output = 9 * 256 * (256 * (96 + 24 + 6) + 192 * 2 + 256 * 1)
    assert row.multiply_adds - row.backbone_multiply_adds == towers + lateral + output
    assert '| retinanet_snv2_0.5x | ' in markdown_table([row])


def test_a_missing_config_is_reported():
    with pytest.raises(UserError, match=r'configs/nothing\.py'):
        detector_complexity('configs/nothing.py')


def test_the_command_reports_its_progress(tool, monkeypatch):
    monkeypatch.setattr(
        'mmdet_shufflenetv2.profiling.complexity.detector_complexity',
        lambda config, *size: Complexity(config, 1, 1, 1, 1),
    )
    ended = tool('complexity.py', 'a.py', 'b.py')
    assert ended.err == '[1/2] a.py\n[2/2] b.py\n'
    assert '| b.py |' in ended.out
