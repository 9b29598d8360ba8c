"""Default start weights of a training."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmdet_shufflenetv2.config.options import TrainOptions
from mmdet_shufflenetv2.config.start import start_from_checkpoint


def started(checkpoint, of_config, **options):
    cfg = Config(dict(work_dir=of_config))
    start_from_checkpoint(cfg, TrainOptions(checkpoint, **options))
    return cfg.get('load_from'), cfg.work_dir


def test_checkpoint_as_config_is_the_start_and_its_folder_is_unchanged():
    assert started('work_dirs/fish/best.pth', 'work_dirs/fish', data='new') == (
        'work_dirs/fish/best.pth',
        'work_dirs/fish_from_best',
    )
    assert started(str(Path('work_dirs/fish/best.pth').absolute()), 'work_dirs/fish')[1] == 'work_dirs/fish_from_best'


@pytest.mark.parametrize(
    ('checkpoint', 'options', 'expected'),
    [
        ('elsewhere/best.pth', {}, ('elsewhere/best.pth', 'work_dirs/fish')),
        ('work_dirs/fish/best.pth', dict(work_dir='work_dirs/fish'), ('work_dirs/fish/best.pth', 'work_dirs/fish')),
        ('work_dirs/fish/best.pth', dict(resume='auto'), (None, 'work_dirs/fish')),
        ('work_dirs/fish/best.pth', dict(cfg_options=dict(load_from=None)), (None, 'work_dirs/fish')),
        ('fish.py', {}, (None, 'work_dirs/fish')),
    ],
)
def test_explicit_settings_are_kept(checkpoint, options, expected):
    assert started(checkpoint, 'work_dirs/fish', **options) == expected
