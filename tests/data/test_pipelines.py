import pytest
from mmengine.config import Config

from mmdet_shufflenetv2.data.pipelines import base_dataset, image_size, steps

RESIZE = dict(type='Resize', scale=(320, 192))


def config(pipeline, wrappers=()):
    dataset = dict(type='CocoDataset', pipeline=pipeline)
    for wrapper in wrappers:
        dataset = dict(type=wrapper, dataset=dataset)
    return Config(dict(val_dataloader=dict(dataset=dataset), test_dataloader=None))


@pytest.mark.parametrize('wrappers', [[], ['RepeatDataset'], ['ClassBalancedDataset', 'RepeatDataset']])
def test_finds_data_set_and_image_size_inside_wrappers(wrappers):
    cfg = config([dict(type='LoadImageFromFile'), RESIZE], wrappers)
    assert base_dataset(cfg, 'val').type == 'CocoDataset'
    assert image_size(cfg, 'val') == (320, 192)


def test_result_is_part_of_the_config():
    cfg = config([RESIZE], ['RepeatDataset'])
    base_dataset(cfg, 'val').pipeline = []
    assert cfg.val_dataloader.dataset.dataset.pipeline == []


@pytest.mark.parametrize(
    ('cfg', 'split'),
    [
        (config([dict(type='LoadImageFromFile')]), 'val'),
        (config(None), 'val'),
        (config([RESIZE]), 'test'),
        (config([RESIZE]), 'train'),
    ],
)
def test_no_resize_or_no_data_gives_no_size(cfg, split):
    assert image_size(cfg, split) is None


def test_nested_transforms_are_steps():
    flip, pad = dict(type='RandomFlip'), dict(type='Pad')
    nested = dict(type='TestTimeAug', transforms=[[RESIZE], [flip, pad]])
    assert list(steps([dict(type='LoadImageFromFile'), nested])) == [
        dict(type='LoadImageFromFile'),
        nested,
        RESIZE,
        flip,
        pad,
    ]
    assert image_size(config([nested]), 'val') == (320, 192)
