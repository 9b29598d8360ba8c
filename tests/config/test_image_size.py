import numpy as np
import pytest
from mmdet.utils import register_all_modules
from mmengine.dataset import Compose
from own_data_layouts import loaded

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.config.access import datasets_of
from mmdet_shufflenetv2.config.image_size import parse_image_size, set_image_size
from mmdet_shufflenetv2.data.pipelines import image_size

register_all_modules()


def sizes(cfg, split):
    return [
        tuple(step[key])
        for step in cfg[f'{split}_dataloader'].dataset.pipeline
        for key in ('scale', 'size')
        if key in step
    ]


@pytest.mark.parametrize(('text', 'size'), [('640', (640, 640)), ('1333x800', (1333, 800)), ('320X320', (320, 320))])
def test_a_size_is_one_number_or_two(text, size):
    assert parse_image_size(text) == size


@pytest.mark.parametrize('text', ['', 'large', '640x', '640x480x3', '-640', '0', '16', '640.5'])
def test_rejects_invalid_sizes(text):
    with pytest.raises(UserError, match='expected one number of pixels such as 640'):
        parse_image_size(text)


@pytest.mark.parametrize(
    ('config', 'steps'), [('faster_rcnn_snv2', 1), ('light_head_rcnn_snv2', 1), ('nanodet_m_snv2', 2)]
)
def test_size_is_set_in_every_transform(config, steps):
    cfg = loaded(config)
    set_image_size(cfg, (416, 416))
    for split in ('train', 'val', 'test'):
        assert sizes(cfg, split) == [(416, 416)] * steps
    assert image_size(cfg) == (416, 416)
    assert all(tuple(dataset.metainfo['image_size']) == (416, 416) for dataset in datasets_of(cfg))


def test_nanodet_at_416_equals_the_config_of_that_size():
    cfg = loaded('nanodet_m_snv2')
    set_image_size(cfg, (416, 416))
    ours = loaded('nanodet_m_snv2_416')
    assert sizes(cfg, 'train') == sizes(ours, 'train')
    assert sizes(cfg, 'test') == sizes(ours, 'test')


@pytest.mark.parametrize('size', [(224, 160), (160, 224)])
@pytest.mark.parametrize(('height', 'width'), [(240, 320), (320, 240), (300, 300)])
@pytest.mark.parametrize('pipeline', ['train', 'test'])
def test_nanodet_accepts_any_shape_and_size(size, height, width, pipeline):
    cfg = loaded('nanodet_m_snv2')
    set_image_size(cfg, size)
    steps = [
        step for step in cfg[f'{pipeline}_dataloader'].dataset.pipeline if step['type'] in ('FitResize', 'CenterPad')
    ]
    results = Compose(steps)(dict(img=np.zeros((height, width, 3), np.uint8), img_shape=(height, width)))
    assert results['img_shape'] == size[::-1]
    left, top, right, bottom = results['padding']
    assert min(left + right, top + bottom) <= 1  # it touches two sides, but for a fraction of a pixel
    assert abs(left - right) <= 1
    assert abs(top - bottom) <= 1


def test_multiple_scales_change_in_proportion():
    cfg = loaded('faster_rcnn_snv2')
    cfg.train_dataloader.dataset.pipeline[2] = dict(
        type='RandomChoiceResize', scales=[(1333, 640), (1333, 800)], keep_ratio=True
    )
    set_image_size(cfg, (667, 400))
    assert cfg.train_dataloader.dataset.pipeline[2]['scales'] == [(667, 320), (667, 400)]


def test_padded_input_must_be_a_multiple_of_32():
    with pytest.raises(UserError, match='needs multiples of 32, such as 384x384'):
        set_image_size(loaded('nanodet_m_snv2'), (400, 400))


def test_config_without_resize_is_an_error():
    cfg = loaded('faster_rcnn_snv2')
    del cfg.test_dataloader.dataset.pipeline[1]
    with pytest.raises(UserError, match='needs a Resize with a scale'):
        set_image_size(cfg, (640, 640))
