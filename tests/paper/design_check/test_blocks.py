import pytest
import torch
from mmdet.models.backbones import HRNet, MobileNetV2, ResNet
from torch import nn

from mmdet_shufflenetv2 import ShuffleNetV2
from mmdet_shufflenetv2.paper.design_check.violations import Block, blocks
from mmdet_shufflenetv2.paper.guidelines.networks import bottlenecks, fragmented
from mmdet_shufflenetv2.profiling.memory_access import trace_operations


def found(network, *shape):
    network.eval()
    return blocks(trace_operations(network, torch.rand(1, *shape)))


def test_each_layer_of_a_chain_is_a_block():
    assert found(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)), 3, 9, 9) == [
        Block('0', 1, 1),
        Block('2', 1, 1),
    ]


def test_all_but_one_of_the_parallel_convolutions_are_fragments():
    assert found(fragmented(4, 4, parallel=True), 4, 5, 5) == [Block(f'{n}.convs', 4, 1) for n in range(10)]
    assert {block.fragments for block in found(fragmented(4, 4), 4, 5, 5)} == {0}


def test_a_shortcut_creates_a_block_without_fragments():
    assert found(bottlenecks(8, relu=True, shortcut=True), 8, 5, 5) == [Block(f'{n}.convs', 3, 3) for n in range(10)]


@pytest.mark.parametrize(
    ('backbone', 'fragmented_blocks'),
    [
        # The downsampling unit of each stage: five convolutions, three of them in the longer branch.
        (ShuffleNetV2(0.5), [('stage2.0', 5, 3), ('stage3.0', 5, 3), ('stage4.0', 5, 3)]),
        # The first block of each stage has a convolution in its shortcut.
        (ResNet(18), [('layer2.0', 3, 2), ('layer3.0', 3, 2), ('layer4.0', 3, 2)]),
        (MobileNetV2(), []),
    ],
)
def test_the_fragments_of_well_known_backbones(backbone, fragmented_blocks):
    assert [tuple(block) for block in found(backbone, 3, 64, 64) if block.fragments] == fragmented_blocks


def test_branches_of_several_resolutions_are_fragments():
    stage = dict(num_modules=1, num_blocks=(1,), num_channels=(8,))
    hrnet = HRNet(
        dict(
            stage1=dict(stage, num_branches=1, block='BOTTLENECK'),
            stage2=dict(num_modules=1, num_branches=2, block='BASIC', num_blocks=(1, 1), num_channels=(8, 16)),
            stage3=dict(num_modules=1, num_branches=3, block='BASIC', num_blocks=(1,) * 3, num_channels=(8, 16, 32)),
            stage4=dict(
                num_modules=1, num_branches=4, block='BASIC', num_blocks=(1,) * 4, num_channels=(8, 16, 32, 64)
            ),
        )
    )
    all_blocks = found(hrnet, 3, 64, 64)
    convolutions = sum(isinstance(module, nn.Conv2d) for module in hrnet.modules())
    assert sum(block.convolutions for block in all_blocks) == convolutions
    assert max(block.fragments for block in all_blocks) > convolutions / 2
