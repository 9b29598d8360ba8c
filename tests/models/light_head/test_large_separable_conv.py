"""The large separable convolution against the equivalent dense convolution."""

import pytest
import torch
import torch.nn.functional as F

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.models.light_head import LargeSeparableConv
from mmdet_shufflenetv2.profiling.complexity import count_multiply_adds


def dense_kernel(first, second):
    """The k x k kernel of two successive convolutions, one per axis: the outer product, summed over mid channels."""
    if first.kernel_size[1] == 1:  # k x 1, then 1 x k
        return torch.einsum('omx,miy->oiyx', second.weight[:, :, 0], first.weight[..., 0])
    return torch.einsum('omy,mix->oiyx', second.weight[..., 0], first.weight[:, :, 0])


@pytest.mark.parametrize('kernel_size', [3, 15])
def test_it_is_the_sum_of_two_dense_convolutions_through_a_relu(kernel_size):
    torch.manual_seed(0)
    neck = LargeSeparableConv(6, mid_channels=4, out_channels=5, kernel_size=kernel_size).double()
    for path in (neck.tall_wide, neck.wide_tall):
        torch.nn.init.zeros_(path[0].bias)  # a bias between the convolutions would differ at the padded border
    x = torch.randn(2, 6, 17, 20, dtype=torch.float64)
    both = sum(
        F.conv2d(x, dense_kernel(*path), path[1].bias, padding=kernel_size // 2)
        for path in (neck.tall_wide, neck.wide_tall)
    )
    (thin,) = neck([x])
    torch.testing.assert_close(thin, both.clamp(min=0))
    assert (thin == 0).any()


def test_the_thin_map_comes_first_and_other_inputs_are_forwarded():
    neck = LargeSeparableConv(8, mid_channels=4, out_channels=490)
    c4, c5 = torch.rand(1, 6, 5, 7), torch.rand(1, 8, 5, 7)
    thin, other = neck((c4, c5))
    assert thin.shape == (1, 490, 5, 7)
    assert other is c4


@pytest.mark.parametrize(('mid_channels', 'kernels'), [(64, 64 * (464 + 490)), (256, 256 * (464 + 490))])
def test_multiply_adds_equal_the_closed_form(mid_channels, kernels):
    neck = LargeSeparableConv(464, mid_channels=mid_channels)
    # Two paths with kernels of 15 weights each, at 4 x 6 cells.
    assert count_multiply_adds(neck, [torch.rand(1, 464, 4, 6)]) == 2 * 15 * kernels * 4 * 6


def test_an_even_kernel_size_is_rejected():
    with pytest.raises(UserError, match='kernel_size=14.*odd'):
        LargeSeparableConv(8, kernel_size=14)
