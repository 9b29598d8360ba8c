"""What is kept, against mmcv's own NMS; what is refused is what mmcv's NMS would do otherwise."""

import pytest
import torch
from mmcv.ops import batched_nms
from mmengine.config import ConfigDict

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.deploy.suppression import check_min_size, check_nms, large_boxes, suppressed


def crowd(number=200):
    """Boxes that overlap, of three classes, no two scores alike."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(number, 2, generator=generator) * 60
    boxes = torch.cat((corners, corners + 20 + torch.rand(number, 2, generator=generator) * 20), dim=1)
    return boxes, torch.randperm(number, generator=generator) / number, torch.arange(number) % 3


@pytest.mark.parametrize('options', [
    dict(), dict(class_agnostic=False), dict(split_thr=10), dict(offset=0, score_threshold=0, max_num=-1)])
def test_options_that_are_served_keep_what_mmcv_keeps(options):
    nms = dict(type='nms', iou_threshold=0.4, **options)
    check_nms(nms, 'model.test_cfg.nms')
    boxes, scores, labels = crowd()
    expected, places = batched_nms(boxes, scores, labels, dict(nms))
    kept = suppressed(boxes, scores, labels, ConfigDict(nms=nms, max_per_img=1000))
    assert 10 < len(places) < 150
    for got, wanted in zip(kept, (expected[:, :4], expected[:, 4], labels[places]), strict=True):
        assert torch.equal(got, wanted)


@pytest.mark.parametrize('options', [
    dict(type='soft_nms'), dict(class_agnostic=True), dict(offset=1), dict(score_threshold=0.5), dict(max_num=5),
    dict(split_thr=10, max_num=5)])
def test_options_with_which_mmcv_keeps_others_are_refused(options):
    nms = dict(type='nms', iou_threshold=0.4) | options
    boxes, scores, labels = crowd()
    plain, _ = batched_nms(boxes, scores, labels, dict(type='nms', iou_threshold=0.4))
    other, _ = batched_nms(boxes, scores, labels, dict(nms))
    assert plain.shape != other.shape or not torch.equal(plain, other)
    with pytest.raises(UserError, match=r'model\.test_cfg\.rpn\.nms has .*plain NMS within each class') as error:
        check_nms(nms, 'model.test_cfg.rpn.nms')
    assert all(f'{key}={value!r}' in str(error.value) for key, value in options.items() if key != 'split_thr')


@pytest.mark.parametrize(('nms', 'word'), [
    (None, 'no iou_threshold'),
    (dict(type='nms'), 'no iou_threshold'),
    (dict(type='nms', iou_thr=0.5), 'iou_thr=0.5'),
    (dict(type='nms', iou_threshold=0.5, sigma=0.5), 'sigma=0.5'),
])
def test_what_is_unknown_or_missing_is_named(nms, word):
    with pytest.raises(UserError, match=word):
        check_nms(nms, 'model.test_cfg.nms')


@pytest.mark.parametrize('least', [-1, 0, 3, None])
def test_both_sides_of_a_box_have_to_be_longer_than_the_least_size(least):
    sides = [(0, 0), (0, 5), (5, 0), (3, 5), (4, 4), (1, 1)]
    boxes = torch.tensor([[10, 20, 10 + width, 20 + height] for width, height in sides], dtype=torch.float32)
    scores, labels = torch.arange(6) / 6, torch.arange(6)
    cfg = ConfigDict() if least is None else ConfigDict(min_bbox_size=least)
    kept = large_boxes(boxes, scores, labels, cfg)
    expected = [i for i, sides in enumerate(sides) if least in (None, -1) or min(sides) > least]
    assert kept[2].tolist() == expected
    assert torch.equal(kept[0], boxes[expected])
    assert torch.equal(kept[1], scores[expected])


def test_a_least_size_in_pixels_that_the_graph_does_not_see_is_refused():
    for served in (ConfigDict(), ConfigDict(min_bbox_size=0), ConfigDict(min_bbox_size=-1)):
        check_min_size(served, 'model.test_cfg')
    with pytest.raises(UserError, match=r'min_bbox_size=8 counts .*--cfg-options model\.test_cfg\.min_bbox_size=0'):
        check_min_size(ConfigDict(min_bbox_size=8), 'model.test_cfg')
