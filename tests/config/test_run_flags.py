from functools import partial

import pytest
import torch
from mmengine.optim import LinearLR
from mmengine.registry import PARAM_SCHEDULERS
from own_data_layouts import loaded

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.config.options import TrainOptions
from mmdet_shufflenetv2.config.run_flags import (
    fit_warm_up,
    schedules_of,
    set_run_flags,
    unfinished_warm_up,
)


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
def test_few_epochs_still_reach_the_learning_rate(epochs):
    cfg = config(epochs=epochs)
    fit_warm_up(schedules_of(cfg), steps=epochs)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    warm_up = dict(cfg.param_scheduler[0])
    assert warm_up['type'] == 'LinearLR'
    scheduler = LinearLR(optimizer, **{key: warm_up[key] for key in ('start_factor', 'by_epoch', 'begin', 'end')})
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]['lr'] == pytest.approx(1.0)


def test_warm_up_is_at_most_a_tenth_of_the_run():
    cfg = config()
    assert fit_warm_up(schedules_of(cfg), 1200) == 'warm-up shortened from 500 to 120 of the 1200 steps'
    assert cfg.param_scheduler[0].end == 120
    assert fit_warm_up(schedules_of(config()), 177_000) is None


def test_schedule_after_a_shortened_warm_up_is_contiguous():
    schedules = [
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=500),
        dict(type='CosineAnnealingLR', by_epoch=False, begin=500, end=90_000, T_max=89_500),
    ]
    fit_warm_up(schedules, 1000)
    assert schedules[0]['end'] == schedules[1]['begin'] == 100
    assert schedules[1]['end'] == 1000
    assert schedules[1]['T_max'] == 900


def test_warm_up_longer_than_the_run_is_reported():
    schedules = schedules_of(config())
    assert '500 steps is longer than the run' in unfinished_warm_up(schedules, 400)
    assert unfinished_warm_up(schedules, 500) is None


def schedule(**entries):
    """A schedule of a config of 12 epochs, made for 6 or 24."""

    def scaled(epochs):
        cfg = loaded('faster_rcnn_snv2')
        cfg.param_scheduler = [dict(entries)]
        set_run_flags(cfg, epochs=epochs)
        return cfg.param_scheduler[0]

    return scaled


def rates(schedule, epochs, steps=5):
    """The learning rate of each step, by MMEngine's own schedulers."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    entries = {key: value for key, value in schedule.items() if key not in ('type', 'convert_to_iter_based')}
    kind = PARAM_SCHEDULERS.get(schedule['type'])
    converted = schedule.get('convert_to_iter_based')
    scheduler = (partial(kind.build_iter_from_epoch, epoch_length=steps) if converted else kind)(optimizer, **entries)
    seen = []
    for step in range(1, epochs * steps + 1):
        optimizer.step()
        seen.append(optimizer.param_groups[0]['lr'])
        if not scheduler.by_epoch or step % steps == 0:
            scheduler.step()
    return seen


@pytest.mark.parametrize('converted', [False, True])
@pytest.mark.parametrize(
    'entries',
    [
        dict(type='OneCycleLR', eta_max=1.0, total_steps=12),
        dict(type='CosineRestartLR', periods=[4, 8], restart_weights=[1, 0.5], eta_min=0.01),
        dict(type='CosineAnnealingLR', T_max=12, eta_min=0.01),
        dict(type='CosineAnnealingLR', begin=6, end=12, T_max=6, eta_min=0.01),
        dict(type='PolyLR', begin=0, end=12, eta_min=0.01),
        dict(type='StepLR', step_size=4),
        dict(type='MultiStepLR', milestones=[8, 10]),
        dict(type='ExponentialLR', begin=0, end=12, gamma=0.5),
    ],
    ids=lambda entries: entries['type'],
)
def test_schedules_scale_with_the_number_of_epochs(entries, converted):
    entries = dict(entries, by_epoch=True, convert_to_iter_based=converted)
    before, after = rates(entries, 12), rates(schedule(**entries)(24), 24)
    if entries['type'] == 'ExponentialLR':  # a factor a step, not a course: it ends with the run
        assert after[-1] < before[-1]
        return
    assert after[::2] == pytest.approx(before, abs=0.05 if converted else 0.3)  # in whole epochs it has larger steps


@pytest.mark.parametrize('epochs', [1, 2, 3, 5, 7, 100])
def test_a_cosine_over_the_second_half_never_rises_again(epochs):
    scaled = schedule(type='CosineAnnealingLR', begin=6, end=12, T_max=6, by_epoch=True, convert_to_iter_based=True)(
        epochs
    )
    assert scaled['T_max'] == scaled['end'] - scaled['begin']


@pytest.mark.parametrize('epochs', [1, 2, 3, 5, 7, 100])
def test_restarts_keep_their_number(epochs):
    scaled = schedule(type='CosineRestartLR', periods=[2, 4, 6], restart_weights=[1, 0.5, 0.2], eta_min=0)(epochs)
    assert len(scaled['periods']) == 3
    assert sum(scaled['periods']) == max(epochs, 3)


def test_intervals_and_hooks_in_epochs_are_scaled():
    cfg = loaded('faster_rcnn_snv2')
    cfg.train_cfg.update(max_epochs=300, val_interval=10, dynamic_intervals=[(280, 1)])
    cfg.custom_hooks = [
        dict(type='PipelineSwitchHook', switch_epoch=280),
        dict(type='mmdet.YOLOXModeSwitchHook', num_last_epochs=15),
    ]
    set_run_flags(cfg, epochs=30)
    assert cfg.train_cfg.dynamic_intervals == [(28, 1)]
    assert [cfg.custom_hooks[0].switch_epoch, cfg.custom_hooks[1].num_last_epochs] == [28, 2]


def test_one_cycle_uses_the_learning_rate_as_its_peak():
    cfg = loaded('faster_rcnn_snv2')
    cfg.param_scheduler = [dict(type='OneCycleLR', eta_max=0.1, total_steps=12)]
    set_run_flags(cfg, lr=0.5)
    assert cfg.param_scheduler[0].eta_max == 0.5


def test_learning_rate_is_scaled_with_the_batch_size_once():
    scaled_by_mmengine = config(batch_size=4)
    assert scaled_by_mmengine.train_dataloader.batch_size == 4
    assert scaled_by_mmengine.optim_wrapper.optimizer.lr == 0.02
    assert scaled_by_mmengine.auto_scale_lr.enable
    assert config('faster_rcnn_snv2_shapes', batch_size=4).optim_wrapper.optimizer.lr == pytest.approx(0.0015)


def test_explicit_learning_rate_is_not_scaled():
    cfg = config(batch_size=4, lr=0.007)
    assert cfg.optim_wrapper.optimizer.lr == 0.007
    assert not cfg.auto_scale_lr.enable


def test_freeze_sets_frozen_stages():
    assert config(freeze=3).model.backbone.frozen_stages == 3


@pytest.mark.parametrize(
    ('flags', 'words'),
    [
        (dict(epochs=0), 'epochs=0: expected a positive number'),
        (dict(batch_size=-1), 'batch_size=-1'),
        (dict(lr=float('nan')), 'lr=nan'),
        (dict(lr=0.0), 'lr=0.0'),
        (dict(checkpoint_interval_minutes=-1.0), 'checkpoint_interval_minutes=-1.0'),
    ],
)
def test_rejects_invalid_numbers(flags, words):
    with pytest.raises(UserError, match=words):
        TrainOptions('config.py', **flags)


@pytest.mark.parametrize(
    ('flags', 'words'),
    [
        (dict(freeze=5), 'freeze=5: expected -1'),
        (dict(freeze=-2), 'freeze=-2: expected -1'),
        (dict(image_size='big'), 'image_size=big'),
    ],
)
def test_rejects_flags_that_do_not_match_the_config(flags, words):
    with pytest.raises(UserError, match=words):
        config(**flags)


def test_schedule_in_iterations_is_an_error():
    cfg = loaded('faster_rcnn_snv2')
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=100)
    with pytest.raises(UserError, match='train_cfg.max_iters'):
        set_run_flags(cfg, epochs=3)
