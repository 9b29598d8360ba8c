import pytest
import torch

from mmdet_shufflenetv2 import ShuffleNetV2
from mmdet_shufflenetv2.deploy.channel_plan import UNUSED, plan_stage
from mmdet_shufflenetv2.models.backbones.shuffle_unit import BasicUnit, DownsampleUnit, UnitStyle

STYLE = UnitStyle(conv_cfg=None, norm_cfg=dict(type='BN'), act_cfg=dict(type='ReLU'))


def test_docstring_example_is_correct():
    units = [DownsampleUnit(4, 8, STYLE), BasicUnit(8, STYLE), BasicUnit(8, STYLE)]
    plan = plan_stage(units, (4, 4))
    # Slices of branch a: a2 a3 | a1 | a0, the same for b; of c: c2 c3 | c0 c1; of d: all.
    assert plan.produced == [[2, 3, 1, 0], [2, 3, 1, 0], [2, 3, 0, 1], [0, 1, 2, 3]]
    assert [[tuple(part) for part in parts] for parts in plan.slices] == [
        [(2, (0,)), (1, (1,)), (1, (2,))],
        [(2, (0,)), (1, (1,)), (1, (2,))],
        [(2, (1,)), (2, (2,))],
        [(4, (2,))],
    ]
    # Unit 1 processes a2 b2 a3 b3 and reads a2 a3 b2 b3; unit 2 processes a1 c2 b1 c3 and reads a1 b1 c2 c3.
    assert plan.consumed == [[0, 2, 1, 3], [0, 2, 1, 3]]
    # The output a0 d0 c0 d1 b0 d2 c1 d3 is returned as a0 b0 c0 c1 d0 d1 d2 d3.
    assert plan.output == [0, 4, 2, 6, 1, 3, 5, 7]


@pytest.mark.parametrize('variant', ['torchvision', 'authors'])
@pytest.mark.parametrize('block', [1, 4, 8, 16])
@pytest.mark.parametrize('stage', ['stage2', 'stage3', 'stage4'])
def test_every_channel_reaches_its_consumer_once(variant, block, stage):
    units = list(getattr(ShuffleNetV2(variant=variant), stage))
    branches = [list(branch.children()) for branch in units[0].children()]
    widths = tuple(
        [layer for layer in branch if isinstance(layer, torch.nn.Conv2d)][-1].out_channels for branch in branches
    )
    plan = plan_stage(units, widths, block)
    total = sum(widths)
    for order in [*plan.consumed, plan.output]:
        kept = sorted(place for place in order if place != UNUSED)
        assert kept == list(range(total if order is plan.output else total // 2))
    for produced, slices in zip(plan.produced, plan.slices, strict=True):
        assert sum(width for width, _ in slices) == len(produced)
        assert all(width % block == 0 for width, _ in slices)


def test_padding_to_blocks_costs_little():
    """If every slice was padded separately, they would be 1.6 times as wide."""
    plan = plan_stage(list(ShuffleNetV2().stage3), (116, 116), 16)
    assert max(len(order) for order in plan.produced) == 128
    assert len(plan.output) <= 1.4 * 232
