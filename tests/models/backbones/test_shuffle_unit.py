import pytest
import torch
from torch import nn
from torchvision.models import shufflenetv2 as torchvision_v2

from mmdet_shufflenetv2.models.backbones.shuffle_unit import BasicUnit, DownsampleUnit, UnitStyle, channel_shuffle

STYLE = UnitStyle(conv_cfg=None, norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU'))


@pytest.mark.parametrize(
    ('groups', 'expected'),
    [
        (1, [0, 1, 2, 3, 4, 5]),
        (2, [0, 3, 1, 4, 2, 5]),
        (3, [0, 2, 4, 1, 3, 5]),
    ],
)
def test_channel_shuffle_interleaves_the_groups(groups, expected):
    x = torch.arange(6.0).view(1, 6, 1, 1).expand(2, 6, 3, 2)
    assert channel_shuffle(x, groups)[1, :, 2, 1].tolist() == expected


@pytest.mark.parametrize('groups', [2, 4])
def test_channel_shuffle_equals_pytorch(groups):
    x = torch.rand(2, 8, 5, 3)
    assert torch.equal(channel_shuffle(x, groups), nn.ChannelShuffle(groups)(x))


@pytest.mark.parametrize(
    ('unit', 'reference'),
    [
        (lambda: BasicUnit(20, STYLE), lambda: torchvision_v2.InvertedResidual(20, 20, 1)),
        (lambda: DownsampleUnit(12, 20, STYLE), lambda: torchvision_v2.InvertedResidual(12, 20, 2)),
    ],
)
@pytest.mark.parametrize('size', [(8, 8), (7, 9), (1, 2)])
def test_a_unit_equals_torchvisions(unit, reference, size):
    unit, reference = unit().eval(), reference().eval()
    unit.load_state_dict(reference.state_dict())
    x = torch.randn(2, reference.branch2[0].in_channels * (2 if isinstance(unit, BasicUnit) else 1), *size)
    torch.testing.assert_close(unit(x), reference(x))
