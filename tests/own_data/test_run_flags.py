import pytest
import torch
from mmengine.optim import LinearLR
from own_data_layouts import loaded

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.own_data.run_flags import set_run_flags, shorten_warm_up


def config(name='faster_rcnn_snv2', **flags):
    cfg = loaded(name)
    set_run_flags(cfg, **flags)
    return cfg


def test_epochs_scale_warm_up_milestones_and_intervals():
    cfg = config('nanodet_m_snv2', epochs=28)
    assert cfg.train_cfg.max_epochs == 28
    assert cfg.train_cfg.val_interval == cfg.default_hooks.checkpoint.interval == 1
    assert cfg.param_scheduler[0].end == 30
    assert cfg.param_scheduler[1].milestones == [24, 26, 28]


def test_epochs_scale_a_cosine():
    cfg = config('faster_rcnn_snv2_shapes', epochs=22)
    assert cfg.param_scheduler[1].T_max == 22
    assert cfg.param_scheduler[0].end == 200
    assert cfg.train_cfg.val_interval == 12


@pytest.mark.parametrize('epochs', [1, 2, 3])
def test_few_epochs_leave_a_schedule_that_still_comes_to_the_learning_rate(epochs):
    cfg = config(epochs=epochs)
    shorten_warm_up(cfg, images=8)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    warm_up = dict(cfg.param_scheduler[0])
    assert warm_up['type'] == 'LinearLR'
    scheduler = LinearLR(optimizer, **{key: warm_up[key] for key in ('start_factor', 'by_epoch', 'begin', 'end')})
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]['lr'] == pytest.approx(1.0)


def test_a_warm_up_takes_a_tenth_of_the_run_at_most():
    cfg = config()
    assert shorten_warm_up(cfg, images=800) == 'warm-up shortened to 120 of the 1200 steps'
    assert cfg.param_scheduler[0].end == 120
    assert shorten_warm_up(config(), images=118_287) is None


def test_the_learning_rate_follows_the_batch_size_once():
    scaled_by_mmengine = config(batch_size=4)
    assert scaled_by_mmengine.train_dataloader.batch_size == 4
    assert scaled_by_mmengine.optim_wrapper.optimizer.lr == 0.02
    assert scaled_by_mmengine.auto_scale_lr.enable
    assert config('faster_rcnn_snv2_shapes', batch_size=4).optim_wrapper.optimizer.lr == pytest.approx(0.0015)


def test_a_named_learning_rate_is_used_as_it_is():
    cfg = config(batch_size=4, lr=0.007)
    assert cfg.optim_wrapper.optimizer.lr == 0.007
    assert not cfg.auto_scale_lr.enable


def test_freezing_is_the_backbones_own():
    assert config(freeze=3).model.backbone.frozen_stages == 3


@pytest.mark.parametrize(('flags', 'words'), [
    (dict(epochs=0), '--epochs 0: expected a positive number'),
    (dict(batch_size=-1), '--batch-size -1'),
    (dict(lr=float('nan')), '--lr nan'),
    (dict(lr=0.0), '--lr 0.0'),
    (dict(freeze=5), '--freeze 5: expected -1'),
    (dict(freeze=-2), '--freeze -2: expected -1'),
    (dict(image_size='big'), '--image-size big'),
])
def test_values_that_make_no_sense_are_refused(flags, words):
    with pytest.raises(UserError, match=words):
        config(**flags)


def test_a_schedule_in_iterations_says_so():
    cfg = loaded('faster_rcnn_snv2')
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=100)
    with pytest.raises(UserError, match='train_cfg.max_iters'):
        set_run_flags(cfg, epochs=3)
