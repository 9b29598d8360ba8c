import pytest
import torch
import torch.nn.functional as F

from mmdet_shufflenetv2.models.nanodet import LightPAN

CHANNELS = (4, 6, 8)


def features(sizes):
    torch.manual_seed(0)
    return [torch.rand(2, c, *size) for c, size in zip(CHANNELS, sizes)]


def neck():
    torch.manual_seed(0)
    neck = LightPAN(CHANNELS, 5)
    neck.init_weights()
    return neck


def test_levels_are_added_top_down_and_then_bottom_up():
    pan, inputs = neck(), features([(16, 24), (8, 12), (4, 6)])
    with torch.no_grad():
        outs = pan(inputs)
        fine, middle, coarse = (conv.conv(x) for conv, x in zip(pan.lateral_convs, inputs))
    middle = middle + F.interpolate(coarse, scale_factor=2, mode='bilinear')
    fine = fine + F.interpolate(middle, scale_factor=2, mode='bilinear')
    middle = middle + F.interpolate(fine, scale_factor=0.5, mode='bilinear')
    coarse = coarse + F.interpolate(middle, scale_factor=0.5, mode='bilinear')
    for out, expected in zip(outs, (fine, middle, coarse), strict=True):
        assert torch.allclose(out, expected, atol=1e-6)


def test_odd_sizes_are_kept():
    sizes = [(13, 9), (7, 5), (4, 3)]
    assert [tuple(out.shape) for out in neck()(features(sizes))] == [(2, 5, *size) for size in sizes]


def test_another_number_of_levels_is_an_error():
    with pytest.raises(ValueError, match='argument'):
        neck()(features([(4, 4), (2, 2)]))
