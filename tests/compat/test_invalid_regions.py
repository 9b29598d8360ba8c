"""Invalid regions and boxes, from which a kernel would compute invalid addresses."""

import pytest
import torch
from op_cases import boxes, random, rois

from mmdet_shufflenetv2 import compat

pytestmark = pytest.mark.skipif(not compat.ops_are_served(), reason='a compiled mmcv is installed')

NAN, INF = float('nan'), float('inf')


def pool(name, x, regions):
    from mmcv import ops

    if name == 'roi_pool':
        return ops.roi_pool(x, regions, 3, 0.25)
    if name in ('rotated', 'riroi'):
        rotated = torch.cat((regions, regions[:, 4:] / 99), dim=1)
        return (
            ops.roi_align_rotated(x, rotated, 3, 0.25)
            if name == 'rotated'
            else ops.RiRoIAlignRotated((3, 3), 0.25, 0, 3)(x, rotated)
        )
    if name == 'bezier':
        return ops.bezier_align(x, torch.cat((regions, regions[:, 1:].repeat(1, 3)), dim=1), 3, 0.25)
    return ops.roi_align(x, regions, 3, 0.25, 0, name, True)


@pytest.mark.parametrize('name', ['avg', 'max', 'roi_pool', 'rotated', 'riroi', 'bezier'])
@pytest.mark.parametrize(('column', 'value'), [(1, NAN), (2, INF), (3, -INF), (4, NAN), (0, NAN), (0, 2), (0, -1)])
def test_the_error_for_an_invalid_region_contains_its_index(name, column, value):
    regions = rois(4, 2)
    regions[2, column] = value
    with pytest.raises(ValueError, match=r'rois\[2\].*finite.*image.*1 of 4'):
        pool(name, random(2, 3, 8, 9), regions)


def test_the_gradient_also_rejects_invalid_regions():
    import mmcv._ext

    with pytest.raises(ValueError, match=r'^rois\[0\]'):
        mmcv._ext.roi_align_backward(
            torch.ones(1, 2, 3, 3),
            torch.tensor([[0, 1, 1, NAN, 5]]),
            None,
            None,
            torch.zeros(1, 2, 8, 8),
            3,
            3,
            1.0,
            2,
            1,
            True,
        )


@pytest.mark.parametrize('value', [NAN, INF])
def test_the_light_head_also_rejects_invalid_regions(value):
    from mmdet_shufflenetv2.models.light_head import PSRoIAlignExtractor

    extractor = PSRoIAlignExtractor(2, [16], output_size=3)
    regions = rois(3, 1)
    assert extractor([random(1, 18, 8, 9)], regions).shape == (3, 2, 3, 3)
    regions[1, 3] = value
    with pytest.raises(ValueError, match=r'^rois\[1\]'):
        extractor([random(1, 18, 8, 9)], regions)


@pytest.mark.parametrize('name', ['avg', 'max', 'roi_pool', 'rotated', 'riroi', 'bezier'])
def test_no_regions_give_no_output_and_no_gradient(name):
    x = random(2, 3, 8, 9).requires_grad_()
    out = pool(name, x, rois(0, 2))
    out.sum().backward()
    assert out.shape == (0, 3, 3, 3)
    assert not x.grad.any()


@pytest.mark.gpu
@pytest.mark.parametrize(('column', 'value'), [(1, NAN), (3, INF), (0, 2)])
def test_on_a_gpu_the_output_of_an_invalid_region_is_nan(column, value):
    regions = rois(4, 2).cuda()
    x = random(2, 3, 8, 9).cuda().requires_grad_()
    expected = pool('avg', x, regions)
    regions[2, column] = value
    out = pool('avg', x, regions)
    assert out[2].isnan().all()
    assert torch.equal(out[[0, 1, 3]], expected[[0, 1, 3]])
    out[[0, 1, 3]].sum().backward()


@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
def test_boxes_without_area_keep_their_score_in_soft_nms(method):
    from mmcv.ops import soft_nms

    flat = torch.tensor([[5.0, 5, 5, 5], [5, 5, 5, 5], [7, 1, 7, 9], [0, 3, 9, 3], [0, 0, 9, 9]])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5])
    dets, kept = soft_nms(flat, scores, 0.3, sigma=0.5, min_score=0.05, method=method, offset=0)
    assert kept.tolist() == [0, 1, 2, 3, 4]
    torch.testing.assert_close(dets[:, 4], scores)


def test_nms_accepts_nan_boxes():
    from mmcv.ops import nms, nms_rotated, soft_nms

    candidates, scores = boxes(5), random(5, seed=1)
    candidates[2] = NAN
    assert 2 in nms(candidates, scores, 0.5)[1]
    assert 2 in soft_nms(candidates, scores, 0.5, method='gaussian')[1]
    assert 2 in nms_rotated(torch.cat((candidates, torch.zeros(5, 1)), dim=1), scores, 0.5)[1]
