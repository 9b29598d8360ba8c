import pickle

import numpy as np
import pytest
import torch
from conftest import ROOT
from mmdet.registry import MODELS, TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import Compose
from nanodet_reference import letterbox

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.models.nanodet.center_pad import top_left_padding

register_all_modules()
CFG = Config.fromfile(ROOT / 'configs' / 'nanodet_m_snv2.py')


def image(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def padded(height, width, size, pad_val=(1.5, 2, 3), **more):
    results = dict(img=image(height, width), img_shape=(height, width), **more)
    return TRANSFORMS.build(dict(type='CenterPad', size=size, pad_val=pad_val)).transform(results)


@pytest.mark.parametrize(
    ('height', 'width', 'padding'),
    [
        (20, 32, (0, 6, 0, 6)),
        (21, 32, (0, 5, 0, 6)),
        (32, 13, (9, 0, 10, 0)),
        (32, 32, (0, 0, 0, 0)),
        (5, 7, (12, 13, 13, 14)),
    ],
)
def test_an_image_is_padded_on_all_sides(height, width, padding):
    results = padded(height, width, (32, 32))
    left, top, right, bottom = results['padding']
    assert results['padding'] == padding
    assert results['img_shape'] == results['img'].shape[:2] == (32, 32)
    assert results['img'].dtype == np.float32
    inside = np.zeros((32, 32), bool)
    inside[top : 32 - bottom, left : 32 - right] = True
    assert np.array_equal(results['img'][inside].reshape(height, width, 3), image(height, width))
    assert (results['img'][~inside] == np.float32((1.5, 2, 3))).all()


def test_boxes_and_masks_move_with_the_image():
    mask = np.zeros((1, 20, 32), np.uint8)
    mask[0, 4:10, 3:8] = 1
    results = padded(20, 32, (40, 32), gt_bboxes=HorizontalBoxes([[3, 4, 8, 10]]), gt_masks=BitmapMasks(mask, 20, 32))
    assert results['gt_bboxes'].tensor.tolist() == [[7, 10, 12, 16]]
    assert results['gt_masks'].get_bboxes('hbox').tensor.tolist() == [[7, 10, 12, 16]]


def test_the_error_for_an_image_that_is_too_large_suggests_fit_resize():
    with pytest.raises(UserError, match='20 x 33 pixels.*FitResize'):
        padded(33, 20, (32, 32))


@pytest.mark.parametrize(('height', 'width'), [(427, 640), (500, 333), (300, 300), (51, 640), (480, 641)])
def test_the_configs_input_equals_nanodet(height, width):
    pixels = image(height, width)
    results = Compose(CFG.test_pipeline[1:3])(dict(img=pixels, img_shape=pixels.shape[:2]))
    inputs = torch.from_numpy(results['img']).permute(2, 0, 1)
    preprocessor = MODELS.build(CFG.model.data_preprocessor)
    batch = preprocessor(dict(inputs=[inputs], data_samples=None))['inputs']
    expected, matrix = letterbox(pixels, 320)
    assert torch.allclose(batch, expected, atol=1e-5)
    assert torch.equal(batch == 0, expected == 0)  # the border is exactly 0
    assert results['scale_factor'] == pytest.approx((matrix[0, 0], matrix[1, 1]))
    assert results['padding'][:2] == (matrix[0, 2], matrix[1, 2])


def packed(meta_keys, height, width, pipeline=CFG.test_pipeline):
    steps = [*pipeline[1:3], dict(type='PackDetInputs', meta_keys=meta_keys)]
    pixels = image(height, width)
    return Compose(steps)(dict(img=pixels, img_shape=pixels.shape[:2], ori_shape=pixels.shape[:2]))['data_samples']


def test_padding_that_was_not_packed_is_an_error():
    default = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction')
    with pytest.raises(UserError, match="'padding'.*meta_keys of PackDetInputs"):
        top_left_padding(pickle.loads(pickle.dumps(packed(default, 240, 320))).metainfo)  # as a worker sends it
    assert top_left_padding(packed((*default, 'padding'), 240, 320).metainfo) == (0, 40)
    assert top_left_padding(packed(default, 320, 320).metainfo) == (0, 0)  # no padding
    assert top_left_padding(dict(img_shape=(320, 320))) == (0, 0)  # no CenterPad


@pytest.mark.parametrize('name', ['nanodet_m_snv2', 'nanodet_m_snv2_416'])
def test_the_configs_tta_pipeline_is_the_test_pipeline_and_a_flip(name):
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    assert cfg.tta_pipeline[:-1] == cfg.test_pipeline[:-1]
    assert cfg.tta_pipeline[2].size == cfg.size
    flips, (pack,) = cfg.tta_pipeline[-1].transforms
    assert [flip.prob for flip in flips] == [1, 0]
    assert {'padding', 'flip', 'flip_direction', *cfg.test_pipeline[-1].meta_keys} == set(pack.meta_keys)
