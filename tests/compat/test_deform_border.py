"""Deformable convolution with samples exactly on cells and on the border, as at the start of training."""

import pytest
import torch
from op_cases import random

from mmdet_shufflenetv2 import compat

pytestmark = pytest.mark.skipif(not compat.ops_are_served(), reason='a compiled mmcv is installed')


def sampled(image, y, x):
    """``(C, *y.shape)`` bilinear values of ``(C, H, W)``; 0 for a point at or beyond row or column -1, H or W."""
    height, width = image.shape[1:]
    outside = ~((y > -1) & (x > -1) & (y < height) & (x < width))
    y, x = y.masked_fill(outside, 0), x.masked_fill(outside, 0)
    total = 0
    for row, down in ((y.detach().floor(), 0), (y.detach().floor() + 1, 1)):
        for column, over in ((x.detach().floor(), 0), (x.detach().floor() + 1, 1)):
            weight = (y - row + 1 if down else row + 1 - y) * (x - column + 1 if over else column + 1 - x)
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            cell = image[:, row.clamp(0, height - 1).long(), column.clamp(0, width - 1).long()]
            total = total + (cell * weight).masked_fill(~inside, 0)
    return total.masked_fill(outside, 0)


def deform_by_definition(x, offset, mask, weight, stride, padding, dilation, groups, deform_groups):
    kernel, (h, w) = weight.shape[2:], offset.shape[2:]
    out = []
    for n in range(len(x)):
        columns = []
        for g, part in enumerate(x[n].chunk(deform_groups)):
            for i in range(kernel[0]):
                for j in range(kernel[1]):
                    k = (g * kernel[0] + i) * kernel[1] + j
                    y = torch.arange(h)[:, None] * stride[0] - padding[0] + i * dilation[0] + offset[n, 2 * k]
                    z = torch.arange(w) * stride[1] - padding[1] + j * dilation[1] + offset[n, 2 * k + 1]
                    columns.append(sampled(part, y, z) * mask[n, k])
        # (deform group, kernel cell, channel of the group) -> (channel, kernel cell)
        columns = torch.stack(columns).view(deform_groups, kernel.numel(), -1, h, w).transpose(1, 2).flatten(0, 1)
        out.append(
            torch.cat(
                [
                    torch.einsum('ck...,ock->o...', part, some.flatten(2))
                    for part, some in zip(columns.chunk(groups), weight.chunk(groups))
                ]
            )
        )
    return torch.stack(out)


GEOMETRIES = [  # kernel, stride, padding, dilation, groups, deformable groups
    ((3, 3), (1, 1), (1, 1), (1, 1), 1, 1),
    ((3, 3), (2, 1), (2, 1), (1, 1), 2, 1),
    ((3, 3), (1, 2), (2, 3), (2, 3), 1, 2),
    ((1, 3), (1, 1), (0, 1), (1, 1), 2, 2),
    ((5, 1), (2, 2), (3, 1), (1, 2), 1, 4),
]


@pytest.mark.parametrize('modulated', [False, True])
@pytest.mark.parametrize('geometry', GEOMETRIES, ids=str)
def test_values_and_gradients_equal_the_definition(geometry, modulated):
    from mmcv.ops import deform_conv2d, modulated_deform_conv2d

    kernel, stride, padding, dilation, groups, deform_groups = geometry
    size = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in zip((5, 6), padding, dilation, kernel, stride)]
    points = deform_groups * kernel[0] * kernel[1]
    offset = random(2 * points, *size, seed=2, low=-3, high=3)
    is_row = (torch.arange(2 * points) % 2 == 0)[:, None, None]
    offset = torch.stack(
        [  # one per image
            torch.zeros_like(offset),
            offset.round(),
            (offset * 2).round() / 2,
            offset * 1e-9,  # in float32, -1 + 1e-9 is -1
            torch.where(is_row, offset.round().clamp(max=-1), offset.round().clamp(min=1)),  # beyond both borders
            offset.round() * 1e12,
        ]
    ).requires_grad_()
    x = random(6, 8, 5, 6, low=-1).requires_grad_()
    weight = random(4, 8 // groups, *kernel, seed=1, low=-1).requires_grad_()
    mask = random(6, points, *size, seed=3).requires_grad_() if modulated else torch.ones(6, points, *size)
    settings = stride, padding, dilation, groups, deform_groups
    if modulated:
        ours = modulated_deform_conv2d(x, offset, mask, weight, None, *settings)
    else:
        ours = deform_conv2d(x, offset, weight, *settings)
    expected = deform_by_definition(x, offset, mask, weight, *settings)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
    grad = random(*ours.shape, seed=5, low=-1)
    inputs = [x, offset, weight] + ([mask] if modulated else [])
    for one, other in zip(*(torch.autograd.grad(y, inputs, grad) for y in (ours, expected)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('modulated', [False, True])
@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf'), 1e30])
def test_a_point_with_an_offset_that_is_not_finite_is_outside(value, modulated):
    from mmcv.ops import deform_conv2d, modulated_deform_conv2d

    x, weight = random(1, 2, 5, 6).requires_grad_(), random(3, 2, 3, 3, seed=1).requires_grad_()
    offset, mask = random(1, 18, 5, 6, seed=2), torch.ones(1, 9, 5, 6)
    invalid = offset.clone()
    invalid[0, ::5] = value
    offset[0, ::5] = 1e6

    def run(o):
        o.requires_grad_()
        settings = (mask, weight, None, 1, 1) if modulated else (weight, 1, 1)
        out = (modulated_deform_conv2d if modulated else deform_conv2d)(x, o, *settings)
        return out, *torch.autograd.grad(out.sum(), (x, o, weight))

    for one, other in zip(run(invalid), run(offset), strict=True):
        torch.testing.assert_close(one, other)
