"""Strength of the augmentation and random sizes, by what the transforms then do to images."""

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from own_data_layouts import loaded

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.config.augmentation import set_augmentation, set_multi_scale
from mmdet_shufflenetv2.data.pipelines import base_dataset, step_name


def step(cfg, name):
    return next(each for each in base_dataset(cfg, 'train').pipeline if step_name(each) == name)


def test_half_the_strength_halves_every_distance_from_no_change():
    cfg = loaded('nanodet_plus_m_snv2')
    set_augmentation(cfg, 0.5)
    warp, color = step(cfg, 'WarpResize'), step(cfg, 'ColorDistortion')
    assert warp.scaling_ratio_range == pytest.approx((0.8, 1.2))
    assert warp.stretching_ratio_range == pytest.approx((0.9, 1.1))
    assert (warp.max_translate_ratio, warp.flip_prob) == (0.1, 0.5)
    assert color.brightness_delta == 25
    assert color.contrast_range == pytest.approx((0.8, 1.2))


@pytest.mark.parametrize('name', ['nanodet_plus_m_snv2', 'nanodet_m_snv2'])
def test_strength_zero_only_keeps_flips(name):
    cfg = loaded(name)
    set_augmentation(cfg, 0)
    pipeline = [
        each
        for each in base_dataset(cfg, 'train').pipeline
        if step_name(each) in ('WarpResize', 'ColorDistortion', 'RandomAffine')
    ]
    for each in pipeline:
        each.pop('flip_prob', None)
    image = np.random.default_rng(0).integers(0, 256, (320, 320, 3), dtype=np.uint8)
    result = Compose([TRANSFORMS.build(each) for each in pipeline])(
        dict(img=image.copy(), gt_bboxes=HorizontalBoxes(torch.zeros(0, 4)), gt_bboxes_labels=np.zeros(0, int))
    )
    assert np.abs(result['img'].astype(float) - image).max() <= 1


def test_default_ranges_are_scaled_too():
    cfg = loaded('faster_rcnn_snv2')
    base_dataset(cfg, 'train').pipeline.insert(2, dict(type='PhotoMetricDistortion'))
    set_augmentation(cfg, 0.5)
    color = step(cfg, 'PhotoMetricDistortion')
    assert color['contrast_range'] == (0.75, 1.25)
    assert color['brightness_delta'] == 16


@pytest.mark.parametrize('name', ['faster_rcnn_snv2', 'nanodet_plus_m_snv2'])
def test_multi_scale_samples_sizes_in_its_range(name):
    cfg = loaded(name)
    set_multi_scale(cfg, 0.25)
    kind = 'RandomResize' if name.startswith('faster') else 'WarpResize'
    transform = TRANSFORMS.build(step(cfg, kind))
    np.random.seed(0)
    if kind == 'RandomResize':
        drawn = [max(transform(dict(img=np.zeros((80, 160, 3), np.uint8)))['img_shape']) / 1333 for _ in range(40)]
    else:
        assert transform.scaling_ratio_range == (0.75, 1.25)
        return
    assert 0.75 <= min(drawn) < 0.85
    assert 1.15 < max(drawn) <= 1.25


@pytest.mark.parametrize(
    ('change', 'value', 'words'),
    [
        (set_augmentation, -1, 'augmentation=-1: expected a number of 0 or more'),
        (set_augmentation, float('nan'), 'augmentation=nan: expected a number of 0 or more'),
        (set_augmentation, 9, 'augmentation=9: scaling_ratio_range of WarpResize'),
        (set_multi_scale, 1, 'multi_scale=1: expected 0'),
    ],
)
def test_rejects_invalid_strengths(change, value, words):
    with pytest.raises(UserError, match=words):
        change(loaded('nanodet_plus_m_snv2'), value)


@pytest.mark.parametrize(
    ('change', 'words'),
    [(set_augmentation, '`augmentation` needs a transform'), (set_multi_scale, '`multi_scale` needs a Resize')],
)
def test_pipeline_without_random_ranges_is_an_error(change, words):
    cfg = loaded('faster_rcnn_snv2')
    base_dataset(cfg, 'train').pipeline = [dict(type='LoadImageFromFile')]
    with pytest.raises(UserError, match=words):
        change(cfg, 0.5)
