import numpy as np
import pytest
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.utils import register_all_modules

register_all_modules()


def resized(cfg, height, width, **more):
    results = dict(img=np.zeros((height, width, 3), np.uint8), img_shape=(height, width), **more)
    return TRANSFORMS.build(cfg)(results)


@pytest.mark.parametrize('size', [(224, 160), (160, 224), (256, 96), (192, 192)])
@pytest.mark.parametrize(('height', 'width'), [(240, 320), (320, 240), (300, 300), (51, 640), (640, 51), (160, 224)])
def test_an_image_is_resized_to_fit_width_and_height(size, height, width):
    results = resized(dict(type='FitResize', scale=size), height, width)
    factor = min(size[0] / width, size[1] / height)
    assert results['img_shape'] == (int(height * factor), int(width * factor))
    assert results['img'].shape[:2] == results['img_shape']
    assert results['scale_factor'] == pytest.approx((factor, factor), rel=0.1)


@pytest.mark.parametrize(('height', 'width'), [(427, 640), (640, 427), (300, 300)])
def test_with_a_square_scale_it_equals_mmdetections_resize(height, width):
    ours, theirs = (
        resized(dict(cfg, scale=(320, 320)), height, width, gt_bboxes=HorizontalBoxes([[3, 4, 80, 100]]))
        for cfg in (dict(type='FitResize'), dict(type='FixScaleResize', keep_ratio=True))
    )
    assert ours['img_shape'] == theirs['img_shape']
    assert ours['scale_factor'] == theirs['scale_factor']
    assert ours['gt_bboxes'].tensor.equal(theirs['gt_bboxes'].tensor)
