import pytest
import torch
from mmdet.models.backbones import MobileNetV2, ResNet, ResNeXt
from torch import nn

from mmdet_shufflenetv2 import ShuffleNetV2
from mmdet_shufflenetv2.paper.design_check.latency import LatencyModel
from mmdet_shufflenetv2.paper.design_check.violations import Violation, find_violations
from mmdet_shufflenetv2.paper.guidelines.networks import balanced, fragmented, grouped, random_input
from mmdet_shufflenetv2.profiling.memory_access import Kind, trace_operations

# 1000 seconds per operation, and 1 second per element of each kind.
MODEL = LatencyModel({'operation': 1000, 'multiply-add': 0, 'depthwise': 1} | dict.fromkeys(Kind, 1), 0)


def found(network, x):
    network.eval()
    return find_violations(trace_operations(network, x), MODEL)


def test_equal_widths_violate_nothing():
    network = balanced(32, 32)
    assert found(network, random_input(network)) == []


def test_unequal_widths_cost_the_memory_access_above_the_lower_bound():
    network = balanced(16, 64)
    violations = found(network, random_input(network))
    # 32 channels on both sides have the same multiply-adds and number of weights.
    above = 56 * 56 * ((16 + 64) - (32 + 32))
    assert violations == [
        Violation(f'{block}.{layer}', 'G1', f'1x1, {widths} channels', pytest.approx(above), pytest.approx(above))
        for block in range(10)
        for layer, widths in enumerate(('16 -> 64', '64 -> 16'))
    ]


def test_a_linear_layer_of_unequal_widths_costs_the_memory_access_above_the_lower_bound():
    network = nn.Sequential(nn.Linear(16, 64), nn.Linear(64, 64))
    above = 49 * ((16 + 64) - (32 + 32))
    assert found(network, torch.rand(1, 49, 16)) == [
        Violation('0', 'G1', 'linear, 16 -> 64 channels', pytest.approx(above), pytest.approx(above))
    ]


def test_groups_cost_the_memory_access_above_a_dense_convolution_with_equal_multiply_adds():
    network = grouped(64, 4)
    violations = found(network, random_input(network))
    dense = 56 * 56 * (64 + 16) + 64 * 16  # 64 -> 16 channels: a quarter of the outputs, each of all inputs
    above = 56 * 56 * (64 + 64) + 64 * 64 // 4 - dense
    assert violations == [Violation(str(n), 'G2', '1x1, 4 groups', above, above) for n in range(10)]


def test_a_fragmented_block_costs_one_operation_per_fragment():
    network = fragmented(8, 4, parallel=True)
    violations = [entry for entry in found(network, random_input(network)) if entry.guideline == 'G3']
    assert violations == [Violation(f'{n}.convs', 'G3', '4 convolutions, 1 deep', 0, 3000) for n in range(10)]


class Gate(nn.Module):
    def forward(self, x):
        return torch.cat((x, x.sigmoid()), dim=1)


def test_element_wise_operations_copies_and_depthwise_convolutions_have_their_full_cost():
    network = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), nn.ReLU(), Gate())
    assert found(network, torch.rand(1, 4, 6, 6)) == [
        Violation('0', 'G4', 'depthwise 3x3, 4 channels', 2 * 4 * 36 + 36, 1000 + 2 * 4 * 36 + 36),
        Violation('1', 'G4', 'relu', 2 * 4 * 36, 1000 + 2 * 4 * 36),
        Violation('2', 'G4', 'sigmoid', 2 * 4 * 36, 1000 + 2 * 4 * 36),
        Violation('2', 'G4', 'cat', 4 * 4 * 36, 1000 + 4 * 4 * 36),
    ]


@pytest.mark.parametrize(
    ('backbone', 'guideline', 'number'),
    [
        # ShuffleNet V2 has unequal widths in the stem, and at the start of both branches of stage2.
        (ShuffleNetV2(1.0), 'G1', 1 + 2),
        (ShuffleNetV2(1.0), 'G2', 0),
        (ShuffleNetV2(1.0), 'G3', 3),
        # Inverted bottlenecks expand and reduce (the first one only reduces); also the stem and the last layer.
        (MobileNetV2(), 'G1', 2 * 16 + 1 + 1 + 1),
        (MobileNetV2(), 'G3', 0),
        # Bottlenecks reduce and expand, except for the first 1x1 convolution (64 to 64); four shortcuts and the stem.
        (ResNet(50), 'G1', 2 * 16 - 1 + 4 + 1),
        (ResNet(50), 'G2', 0),
        (ResNeXt(depth=50, groups=32, base_width=4), 'G2', 16),
    ],
)
def test_the_violations_of_well_known_backbones(backbone, guideline, number):
    violations = found(backbone, torch.rand(1, 3, 64, 64))
    assert len([entry for entry in violations if entry.guideline == guideline]) == number
