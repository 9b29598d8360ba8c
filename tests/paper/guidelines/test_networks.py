"""The networks against the description in tables 1 to 4, and their costs against the closed forms of section 2."""

import pytest
import torch
from torch import nn

from mmdet_shufflenetv2.paper.guidelines.measure import costs
from mmdet_shufflenetv2.paper.guidelines.networks import (
    balanced,
    bottlenecks,
    fragmented,
    grouped,
    random_input,
)

AREA = 56 * 56


def convolutions(network):
    return [
        (conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.groups)
        for conv in network.modules()
        if isinstance(conv, nn.Conv2d)
    ]


def pointwise_mac(c1, c2, groups=1):
    """Section 2: h * w * (c1 + c2) + c1 * c2 / g."""
    return AREA * (c1 + c2) + c1 * c2 // groups


@pytest.mark.parametrize(
    ('network', 'block'),
    [
        (balanced(90, 180), [(90, 180, 1, 1), (180, 90, 1, 1)]),
        (grouped(360, 8), [(360, 360, 1, 8)]),
        (grouped(180, 8), [(184, 184, 1, 8)]),  # 180 is not divisible by 8
        (fragmented(45, 2), [(45, 45, 1, 1)] * 2),
        (fragmented(32, 4, parallel=True), [(32, 32, 1, 1)] * 4),
        (bottlenecks(64, relu=True, shortcut=True), [(64, 16, 1, 1), (16, 16, 3, 1), (16, 64, 1, 1)]),
    ],
)
def test_a_network_has_ten_blocks_of_the_tables_convolutions(network, block):
    assert convolutions(network) == block * 10
    x = random_input(network)
    assert x.shape == (1, block[0][0], 56, 56)
    with torch.no_grad():
        assert network(x).shape == x.shape
    assert all(conv.bias is None for conv in network.modules() if isinstance(conv, nn.Conv2d))


def test_parallel_fragments_are_summed_and_serial_ones_follow_each_other():
    x = torch.rand(1, 8, 56, 56)
    for parallel in (False, True):
        network = fragmented(8, 3, parallel=parallel)
        convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
        expected = x
        for start in range(0, 30, 3):
            a, b, c = convs[start : start + 3]
            expected = a(expected) + b(expected) + c(expected) if parallel else c(b(a(expected)))
        torch.testing.assert_close(network(x), expected)


@pytest.mark.parametrize('relu', [nn.ReLU(), nn.Identity()])
def test_a_bottleneck_with_its_shortcut_is_resnets(relu):
    from mmdet.models.backbones.resnet import Bottleneck

    reference = Bottleneck(32, 8).eval()
    reference.relu = relu
    for norm in (module for module in reference.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.eps = 0.0  # an untrained norm is then the identity
    block = bottlenecks(32, relu=isinstance(relu, nn.ReLU), shortcut=True)[0]
    for conv, theirs in zip(block.convs, (reference.conv1, reference.conv2, reference.conv3)):
        theirs.weight.data.copy_(conv.weight.data)
    x = torch.randn(1, 32, 8, 8)
    torch.testing.assert_close(block(x), reference(x))


@pytest.mark.parametrize('relu', [nn.ReLU(), nn.Identity()])
def test_a_bottleneck_without_shortcut_is_its_convolutions(relu):
    block = bottlenecks(32, relu=isinstance(relu, nn.ReLU), shortcut=False)[0]
    x = torch.randn(1, 32, 8, 8)
    expected = x
    for conv in block.convs:
        expected = relu(conv(expected))
    torch.testing.assert_close(block(x), expected)


# Per block: the closed form of a row's multiply-adds over h * w, its memory access cost, and its element-wise elements.
CLOSED_FORMS = {
    'G1': lambda row, c1, c2: (2 * c1 * c2, 2 * pointwise_mac(c1, c2), 0),
    'G2': lambda row, c, g: (c * c // g, pointwise_mac(c, c, g), 0),
    'G3': lambda row, c, n: (n * c * c, n * pointwise_mac(c, c), (n - 1) * 3 * c * AREA if 'parallel' in row else 0),
    'G4': lambda row, c, _: (
        c * c // 2 + 9 * c * c // 16,
        2 * pointwise_mac(c, c // 4) + 2 * AREA * c // 4 + 9 * c * c // 16,
        ('ReLU' in row) * 2 * AREA * (c + 2 * (c // 4)) + ('shortcut' in row) * 3 * AREA * c,
    ),
}

# Row -> channels at x1 (GPU, ARM) and the closed form's second argument.
EXPECTED = {
    'G1': {
        '1:1': (128, 32, (128, 32)),
        '1:2': (90, 22, (180, 44)),
        '1:6': (52, 13, (312, 78)),
        '1:12': (36, 9, (432, 108)),
    },
    'G2': {'1 group': (128, 64, 1), '2 groups': (180, 90, 2), '4 groups': (256, 128, 4), '8 groups': (360, 180, 8)},
    'G3': {
        '1 fragment': (128, 64, 1),
        '2 in series': (90, 45, 2),
        '4 in series': (64, 32, 4),
        '2 in parallel': (90, 45, 2),
        '4 in parallel': (64, 32, 4),
    },
    'G4': dict.fromkeys(('ReLU, shortcut', 'ReLU', 'shortcut', 'neither'), (32, 32, 0)),
}


@pytest.mark.parametrize('family', ['gpu', 'arm'])
@pytest.mark.parametrize('guideline', list(CLOSED_FORMS))
def test_the_cost_of_every_row_matches_the_closed_form(guideline, family):
    found = costs(guideline, family)
    assert [(cost.size, cost.row) for cost in found] == [(n, row) for n in (1, 2, 4) for row in EXPECTED[guideline]]
    for cost in found:
        gpu, arm, second = EXPECTED[guideline][cost.row]
        c = (gpu if family == 'gpu' else arm) * cost.size
        if guideline == 'G1':
            second = second[family == 'arm'] * cost.size
        if (guideline, family, cost.row, cost.size) == ('G2', 'arm', '8 groups', 1):
            c = 184
        multiply_adds, mac, elementwise = CLOSED_FORMS[guideline](cost.row, c, second)
        assert cost[3:] == (10 * AREA * multiply_adds, 10 * mac, 10 * elementwise), cost


@pytest.mark.parametrize('family', ['gpu', 'arm'])
@pytest.mark.parametrize('guideline', list(CLOSED_FORMS))
def test_the_rows_of_a_column_have_similar_multiply_adds(guideline, family):
    for size in (1, 2, 4):
        column = [cost.multiply_adds for cost in costs(guideline, family) if cost.size == size]
        assert max(column) / min(column) < 1.06
