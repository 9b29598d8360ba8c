import pytest
import torch
from torch import nn

from mmdet_shufflenetv2 import ShuffleNetV2
from mmdet_shufflenetv2.profiling.complexity import count_multiply_adds
from mmdet_shufflenetv2.profiling.memory_access import (
    Convolution,
    Kind,
    convolution_mac,
    elements_by_kind,
    least_mac,
    operation_kind,
    trace_operations,
)


def pointwise(c1, c2, h, w, groups=1):
    return Convolution(c1, c2, (1, 1), groups, h * w, h * w)


@pytest.mark.parametrize(('c1', 'c2', 'groups'), [(128, 128, 1), (36, 432, 1), (360, 360, 8), (24, 24, 24)])
def test_a_pointwise_convolution_has_the_cost_of_the_paper(c1, c2, groups):
    h, w = 7, 9
    [operation] = trace_operations(nn.Conv2d(c1, c2, 1, groups=groups), torch.rand(1, c1, h, w))
    assert operation.multiply_adds == h * w * c1 * c2 // groups
    assert operation.mac == h * w * (c1 + c2) + c1 * c2 // groups == convolution_mac(operation.convolution)


def test_size_kernel_stride_and_batch_are_counted():
    [operation] = trace_operations(nn.Conv2d(3, 24, 3, stride=2, padding=1), torch.rand(2, 3, 8, 10))
    assert operation.multiply_adds == 2 * 3 * 24 * 9 * 4 * 5
    assert operation.mac == 2 * (3 * 8 * 10 + 24 * 4 * 5) + 3 * 24 * 9
    assert convolution_mac(operation.convolution) == 3 * 8 * 10 + 24 * 4 * 5 + 3 * 24 * 9


@pytest.mark.parametrize('groups', [1, 4])
def test_equal_widths_reach_the_lower_bound_and_nothing_falls_below_it(groups):
    h, w, b = 6, 5, 64 * 64
    assert convolution_mac(pointwise(64, 64, h, w, groups)) == pytest.approx(least_mac(pointwise(64, 64, h, w, groups)))
    for c1 in (8, 16, 32, 128):
        uneven = pointwise(c1, b // c1, h, w, groups)
        assert least_mac(uneven) == pytest.approx(least_mac(pointwise(64, 64, h, w, groups)))
        assert convolution_mac(uneven) > least_mac(uneven)


def test_the_bound_of_a_dense_pointwise_convolution_is_the_papers():
    h, w, c1, c2 = 56, 56, 52, 312
    b = h * w * c1 * c2
    assert least_mac(pointwise(c1, c2, h, w)) == pytest.approx(2 * (h * w * b) ** 0.5 + b / (h * w))


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('shape', [(1, 63, 24), (1, 7, 9, 24), (63, 24)])
def test_a_linear_layer_costs_as_much_as_a_pointwise_convolution(bias, shape):
    [conv] = trace_operations(nn.Conv2d(24, 40, 1), torch.rand(1, 24, 7, 9))
    [linear] = trace_operations(nn.Linear(24, 40, bias=bias), torch.rand(shape))
    assert linear.kind == Kind.MATRIX_PRODUCT
    assert (linear.multiply_adds, linear.mac) == (conv.multiply_adds, conv.mac)
    assert linear.convolution == conv.convolution._replace(kernel_size=())
    assert convolution_mac(linear.convolution) == linear.mac


class Attention(nn.Module):
    def forward(self, x):
        return (x @ x.transpose(1, 2)).softmax(-1) @ x


def test_a_product_of_two_activations_is_counted_and_has_no_channels():
    [scores, softmax, values] = trace_operations(Attention(), torch.rand(2, 5, 8))
    assert softmax.kind == Kind.ELEMENTWISE
    for product in (scores, values):
        assert (product.kind, product.convolution) == (Kind.MATRIX_PRODUCT, None)
        assert product.multiply_adds == 2 * 5 * 5 * 8
        assert product.mac == 2 * (5 * 8 + 5 * 8 + 5 * 5)


class Residual(nn.Module):
    """Operations of every kind: convolutions, a norm, an activation, a sum, a copy, pooling."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 1))
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        left, right = (x + self.body(x)).chunk(2, dim=1)
        return self.pool(torch.cat((right, left), dim=1))


def test_operations_are_listed_in_order_with_layer_and_kind():
    operations = trace_operations(Residual().eval(), torch.rand(1, 4, 6, 6))
    assert [(o.layer, o.kind) for o in operations] == [
        ('body.0', Kind.CONVOLUTION),
        ('body.1', Kind.ELEMENTWISE),
        ('body.2', Kind.ELEMENTWISE),
        ('body.3', Kind.CONVOLUTION),
        ('', Kind.ELEMENTWISE),
        ('', Kind.DATA_MOVEMENT),
        ('pool', Kind.OTHER),
    ]


def test_element_wise_and_copied_elements_are_summed_separately():
    elements = elements_by_kind(trace_operations(Residual().eval(), torch.rand(1, 4, 6, 6)))
    positions = 6 * 6
    assert elements[Kind.CONVOLUTION] == 2 * positions * (4 + 6) + 4 * 6 * 9 + 6 * 4
    norm = positions * 6 * 2 + 4 * 6  # the norm reads its four vectors too
    assert elements[Kind.ELEMENTWISE] == norm + positions * 6 * 2 + positions * 4 * 3
    assert elements[Kind.DATA_MOVEMENT] == positions * 4 * 2


def test_operations_list_the_sources_of_their_inputs():
    operations = trace_operations(Residual().eval(), torch.rand(1, 4, 6, 6))
    # Convolution, norm, ReLU and convolution in sequence; then the sum, the concatenation of its halves, the pooling.
    assert [o.sources for o in operations] == [(-1,), (0,), (1,), (2,), (-1, 3), (4,), (5,)]


class Branches(nn.Module):
    """Two branches after a convolution, one with an in-place operation, one that writes to new memory."""

    def __init__(self):
        super().__init__()
        self.stem, self.left, self.right = (nn.Conv2d(4, 4, 1) for _ in range(3))

    def forward(self, x):
        x = self.stem(x)
        left = self.left(x).relu_()
        right = self.right(x)
        out = torch.empty_like(right).copy_(right)
        return left + out


@pytest.mark.parametrize('device', ['cpu', 'meta'])
def test_sources_follow_branches_and_in_place_operations(device):
    operations = trace_operations(Branches().to(device), torch.rand(1, 4, 6, 6, device=device))
    assert [(o.operator, o.sources) for o in operations] == [
        ('convolution', (-1,)),
        ('convolution', (0,)),
        ('relu_', (1,)),
        ('convolution', (0,)),
        ('copy_', (3,)),
        ('add', (2, 4)),
    ]


def test_a_single_layer_is_traced():
    [operation] = trace_operations(nn.ReLU(), torch.rand(1, 4, 6, 6))
    assert (operation.layer, operation.kind, operation.mac) == ('', Kind.ELEMENTWISE, 2 * 4 * 6 * 6)


@pytest.mark.parametrize(
    ('operator', 'kind'),
    [
        ('mkldnn_convolution', Kind.CONVOLUTION),
        ('_slow_conv2d_forward', Kind.CONVOLUTION),
        ('cudnn_convolution', Kind.CONVOLUTION),
        ('cudnn_batch_norm', Kind.ELEMENTWISE),
        ('relu_', Kind.ELEMENTWISE),
        ('clamp_min_', Kind.ELEMENTWISE),
        ('hardswish', Kind.ELEMENTWISE),
        ('add', Kind.ELEMENTWISE),
        ('copy_', Kind.DATA_MOVEMENT),
        ('cat', Kind.DATA_MOVEMENT),
        ('clone', Kind.DATA_MOVEMENT),
        ('max_pool2d_with_indices', Kind.OTHER),
        ('addmm', Kind.MATRIX_PRODUCT),
        ('bmm', Kind.MATRIX_PRODUCT),
        ('_scaled_dot_product_flash_attention_for_cpu', Kind.MATRIX_PRODUCT),
        ('native_layer_norm', Kind.ELEMENTWISE),
        ('_softmax', Kind.ELEMENTWISE),
        ('no_such_operator', Kind.OTHER),
    ],
)
def test_operators_of_all_backends_are_classified(operator, kind):
    assert operation_kind(operator) == kind


def test_the_operations_of_the_backbone_sum_up_to_its_cost():
    backbone = ShuffleNetV2(widen_factor=0.5).eval()
    x = torch.rand(1, 3, 64, 64)
    operations = trace_operations(backbone, x)
    assert sum(o.multiply_adds for o in operations) == count_multiply_adds(backbone, x)
    weights = sum(m.weight.numel() for m in backbone.modules() if isinstance(m, nn.Conv2d))
    assert sum(o.weights for o in operations) == weights
    # A unit's shuffle and concatenation copy its output once each.
    copied = [o for o in operations if o.kind == Kind.DATA_MOVEMENT and o.layer == 'stage2.1']
    assert [o.mac for o in copied] == [2 * 48 * 8 * 8] * 2
