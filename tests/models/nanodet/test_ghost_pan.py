import pytest
import torch

from mmdet_shufflenetv2.models.nanodet import GhostPAN

CHANNELS = (4, 6, 8)


def features(sizes):
    return [torch.rand(2, c, *size) for c, size in zip(CHANNELS, sizes)]


@pytest.mark.parametrize('sizes', [[(16, 24), (8, 12), (4, 6)], [(13, 9), (7, 5), (4, 3)], [(1, 1), (1, 1), (1, 1)]])
def test_levels_keep_their_sizes_and_the_extra_level_has_half_the_last_size(sizes):
    neck = GhostPAN(CHANNELS, 6).eval()
    extra = tuple((side + 1) // 2 for side in sizes[-1])
    assert [tuple(out.shape) for out in neck(features(sizes))] == [(2, 6, *size) for size in (*sizes, extra)]


def test_another_number_of_levels_is_an_error():
    with pytest.raises(ValueError, match='argument'):
        GhostPAN(CHANNELS, 6)(features([(4, 4), (2, 2)]))
