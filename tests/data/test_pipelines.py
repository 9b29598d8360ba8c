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
def test_the_data_set_and_its_image_size_are_found_inside_its_wrappers(wrappers):
    cfg = config([dict(type='LoadImageFromFile'), RESIZE], wrappers)
    assert base_dataset(cfg, 'val').type == 'CocoDataset'
    assert image_size(cfg, 'val') == (320, 192)


def test_what_is_found_is_the_configs_own_and_can_be_changed():
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
def test_where_nothing_resizes_or_there_is_no_data_there_is_no_size(cfg, split):
    assert image_size(cfg, split) is None


def test_transforms_inside_others_are_steps_too():
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
