"""What is chosen by the number of images, and that whatever an option names is left alone."""

import pytest
import torch
from conftest import ROOT
from mmengine.config import Config

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.config.options import TrainOptions
from mmdet_shufflenetv2.config.own_recipe import fit_assignment, fit_recipe
from mmdet_shufflenetv2.config.run_flags import set_run_flags
from mmdet_shufflenetv2.models.build import build_model


def fitted(name, images, load_from=None, **options):
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    cfg.load_from = load_from
    options.setdefault('cfg_options', {}).setdefault('load_from', None)  # not the published weights
    options = TrainOptions(name, data='fish', **options)
    set_run_flags(cfg, batch_size=options.batch_size, epochs=options.epochs)
    return cfg, fit_recipe(cfg, images, options)


@pytest.mark.parametrize(('images', 'epochs'), [(20, 100), (300, 78), (1500, 15), (100_000, 12)])
def test_the_length_follows_the_number_of_images(images, epochs):
    cfg, notes = fitted('faster_rcnn_snv2', images)
    assert notes == dict(length=f'chosen for {images} images; epochs=N changes it')
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.param_scheduler[1].milestones == [round(8 * epochs / 12), round(11 * epochs / 12)]


@pytest.mark.parametrize(('images', 'batch', 'epochs'), [
    (40, 8, 100), (300, 15, 100), (1000, 50, 100), (5000, 96, 56), (118_000, 96, 12)])
def test_a_large_batch_becomes_one_that_leaves_an_epoch_some_steps(images, batch, epochs):
    cfg, notes = fitted('nanodet_plus_m_snv2', images)
    assert cfg.train_dataloader.batch_size == batch
    assert cfg.train_cfg.max_epochs == epochs
    assert ('batch' in notes) == (batch < 96)
    # Neither MMEngine nor we scale Adam's.
    assert not cfg.auto_scale_lr.enable
    assert cfg.optim_wrapper.optimizer.lr == 0.001
    assert notes['learning rate'].startswith("the config's, which AdamW")


@pytest.mark.parametrize(('classes', 'factor'), [(80, 0.1), (5, 1.0)])
def test_weights_that_know_the_classes_are_refined_by_small_steps(tmp_path, classes, factor):
    cfg = Config.fromfile(ROOT / 'configs' / 'nanodet_plus_m_snv2.py')
    weights = build_model(cfg.model).state_dict()
    torch.save({'state_dict': weights}, tmp_path / 'coco.pth')
    cfg.load_from, cfg.model.bbox_head.num_classes = str(tmp_path / 'coco.pth'), classes
    notes = fit_recipe(cfg, 300, TrainOptions('nanodet_plus_m_snv2', data='fish'))
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.001 * factor)
    assert cfg.param_scheduler[1].eta_min_ratio == 0.05
    assert ('know' in notes['learning rate']) == (classes == 80)


@pytest.mark.parametrize(('images', 'epochs', 'horizon'), [(300, 10, 10), (300, None, 100), (10**6, 300, 2000)])
def test_averages_reach_over_a_twentieth_of_the_run_at_most(images, epochs, horizon):
    cfg, notes = fitted('nanodet_plus_m_snv2', images, epochs=epochs)
    average = cfg.custom_hooks[1]
    assert average.gamma == horizon
    if horizon < 2000:
        assert average.momentum == pytest.approx(1 / (horizon + 1))
        assert notes['average'].startswith(f'of the weights over about the last {horizon} of ')
    else:
        assert (average.momentum, 'average' in notes) == (0.0002, False)


def test_what_an_option_names_is_left_alone():
    cfg, notes = fitted('nanodet_plus_m_snv2', 300, batch_size=96, epochs=7)
    assert (cfg.train_dataloader.batch_size, cfg.train_cfg.max_epochs) == (96, 7)
    assert set(notes) == {'average', 'learning rate'}
    cfg, notes = fitted('nanodet_plus_m_snv2', 300, lr=0.002)
    assert 'learning rate' not in notes
    cfg, notes = fitted('nanodet_plus_m_snv2', 300, cfg_options={
        'train_dataloader.batch_size': 96, 'train_cfg.max_epochs': 300, 'custom_hooks.1.gamma': 2000,
        'optim_wrapper.optimizer.lr': 0.001})
    assert (cfg.train_dataloader.batch_size, cfg.train_cfg.max_epochs, notes) == (96, 300, {})


@pytest.mark.parametrize(('key', 'options', 'kept'), [
    ('head.gfl_cls.0.weight', {}, False), ('aux_head.gfl_cls.weight', {}, True),
    ('assign_guidance.head.gfl_cls.weight', {}, True), ('backbone.conv1.0.weight', {}, True),
    ('head.gfl_cls.0.weight', {'model.train_cfg.assign_guidance.stacked_convs': 2}, True)])
@pytest.mark.parametrize('data', [None, 'fish'])
def test_a_guidance_is_trained_where_the_weights_bring_one_or_an_option_names_it(tmp_path, key, options, kept, data):
    path = str(tmp_path / 'weights.pth')
    torch.save({'state_dict': {key: torch.zeros(1)}}, path)
    cfg = Config.fromfile(ROOT / 'configs' / 'nanodet_plus_m_snv2.py')
    cfg.load_from = path
    notes = fit_assignment(cfg, TrainOptions('nanodet_plus_m_snv2', data=data, cfg_options=options))
    assert (cfg.model.train_cfg.assign_guidance is not None) == kept
    assert ('assignment' in notes) != kept


@pytest.mark.parametrize('saved', [0.001, 0.0001])
def test_a_resumed_run_keeps_the_learning_rate_that_it_began_with(tmp_path, saved):
    """What is resumed knows its classes, whatever the weights did that the run began with."""
    cfg = Config.fromfile(ROOT / 'configs' / 'nanodet_plus_m_snv2.py')
    weights = build_model(cfg.model).state_dict()
    text = Config(dict(optim_wrapper=dict(optimizer=dict(lr=saved)))).pretty_text
    torch.save({'state_dict': weights, 'meta': {'cfg': text}}, tmp_path / 'epoch_3.pth')
    cfg.load_from, cfg.resume = str(tmp_path / 'epoch_3.pth'), True
    notes = fit_recipe(cfg, 300, TrainOptions('nanodet_plus_m_snv2', data='fish', resume='auto'))
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(saved)
    assert not cfg.auto_scale_lr.enable
    assert 'learning rate' not in notes


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where downloaded weights would be; a download fails."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))

    def fail(*args, **kwargs):
        raise UserError('no network.')

    monkeypatch.setattr('mmdet_shufflenetv2.checkpoints.named.download', fail)
    (tmp_path / 'checkpoints').mkdir()
    return tmp_path / 'checkpoints'


def recipe(path, **options):
    cfg = Config.fromfile(path)
    return cfg, fit_recipe(cfg, 300, TrainOptions(str(path), data='fish', **options))


@pytest.mark.parametrize(('config', 'name'), [
    ('nanodet_plus_m_snv2_1.5x_416', 'nanodet-plus-m-1.5x-416'), ('nanodet_m_snv2', 'nanodet-m-320')])
def test_published_weights_are_the_start_of_their_config(cache, tmp_path, config, name):
    path = ROOT / 'configs' / f'{config}.py'
    with pytest.raises(UserError, match=f'snv2 download {name}(?s:.*)load_from=None'):
        recipe(path)
    torch.save({'state_dict': {'head.gfl_cls.0.weight': torch.zeros(1)}}, cache / f'{name}.pth')
    cfg, notes = recipe(path)
    assert cfg.load_from == name
    assert name in notes['start']
    assert recipe(path, cfg_options={'load_from': None})[0].get('load_from') is None
    own = tmp_path / f'{config}.py'  # of the same name, and perhaps another network
    own.write_text(f"_base_ = '{path}'")
    assert recipe(own)[0].get('load_from') is None


def test_a_new_detector_has_its_guidance():
    cfg = Config.fromfile(ROOT / 'configs' / 'nanodet_plus_m_snv2.py')
    assert fit_assignment(cfg, TrainOptions('nanodet_plus_m_snv2', data='fish')) == {}
    assert cfg.model.train_cfg.assign_guidance
