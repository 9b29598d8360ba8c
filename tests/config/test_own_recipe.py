"""Settings chosen by the number of images; explicit options are not changed."""

import pytest
import torch
from conftest import ROOT
from mmdet.datasets import CocoDataset
from mmengine.config import Config

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.config.classes import set_classes
from mmdet_shufflenetv2.config.options import TrainOptions
from mmdet_shufflenetv2.config.own_recipe import fit_evaluations, fit_recipe
from mmdet_shufflenetv2.config.run_flags import set_run_flags
from mmdet_shufflenetv2.config.start import fit_assignment, start_from_published, start_weights
from mmdet_shufflenetv2.models.build import build_model


@pytest.fixture(autouse=True)
def device(monkeypatch):
    """Sets the device to train on; a GPU by default."""

    def use(name):
        monkeypatch.setattr('mmdet_shufflenetv2.config.own_recipe.get_device', lambda: name)

    use('cuda')
    return use


def fitted(name, images, **options):
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    options = TrainOptions(name, data='fish', **options)
    set_run_flags(cfg, batch_size=options.batch_size, epochs=options.epochs, lr=options.lr)
    return cfg, fit_recipe(cfg, images, options)


@pytest.mark.parametrize(
    ('kind', 'images', 'epochs'),
    [
        ('cuda', 20, 100),
        ('cuda', 300, 78),
        ('cuda', 1500, 15),
        ('cuda', 100_000, 12),
        ('cpu', 20, 100),
        ('cpu', 300, 15),
        ('cpu', 1500, 12),
    ],
)
def test_length_depends_on_images_and_device(device, kind, images, epochs):
    device(kind)
    cfg, notes = fitted('faster_rcnn_snv2', images)
    assert set(notes) == {'length'}
    assert notes['length'].startswith(f'chosen for {images} images')
    assert ('CPU' in notes['length']) == (kind == 'cpu')
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.param_scheduler[1].milestones == [round(8 * epochs / 12), round(11 * epochs / 12)]


@pytest.mark.parametrize(
    ('images', 'batch', 'epochs'), [(40, 8, 100), (300, 8, 78), (1000, 25, 75), (5000, 96, 56), (118_000, 96, 12)]
)
def test_large_batch_size_is_reduced_for_few_images(images, batch, epochs):
    cfg, notes = fitted('nanodet_plus_m_snv2', images)
    assert cfg.train_dataloader.batch_size == batch
    assert cfg.train_cfg.max_epochs == epochs
    assert ('batch' in notes) == (batch < 96)
    # Neither MMEngine nor we scale Adam's.
    assert not cfg.auto_scale_lr.enable
    assert cfg.optim_wrapper.optimizer.lr == 0.001
    assert notes['learning rate'].startswith("the config's, as AdamW")


COCO = CocoDataset.METAINFO['classes']
REFINING = 0.01  # of fewer than 500 images


@pytest.mark.parametrize(
    ('classes', 'named', 'refined'),
    [
        (COCO, None, True),
        (COCO, COCO, True),
        (COCO[:5], None, False),
        (COCO[:5], COCO[:5], True),
        (COCO[:5], COCO[4::-1], False),
    ],
)
def test_weights_with_the_same_classes_get_a_lower_learning_rate(tmp_path, classes, named, refined):
    cfg = Config.fromfile(ROOT / 'configs' / 'nanodet_plus_m_snv2.py')
    cfg.model.bbox_head.num_classes = len(named or COCO)
    weights = dict(state_dict=build_model(cfg.model).state_dict())
    if named:
        weights['meta'] = dict(dataset_meta=dict(classes=named))
    set_classes(cfg, classes)
    notes = fit_recipe(cfg, 300, TrainOptions('nanodet_plus_m_snv2', data='fish'), weights)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.001 * (REFINING if refined else 1))
    assert cfg.param_scheduler[1].eta_min_ratio == 0.05
    assert ('to refine' in notes['learning rate']) == refined


@pytest.mark.parametrize(('images', 'factor', 'epochs'), [(20, 0.01, 28), (50, 0.01, 12), (500, 0.1, 12)])
def test_refining_uses_few_steps_and_a_lower_rate_for_few_images(images, factor, epochs):
    cfg = Config.fromfile(ROOT / 'configs' / 'nanodet_plus_m_snv2.py')
    weights = dict(state_dict=build_model(cfg.model).state_dict())
    fit_recipe(cfg, images, TrainOptions('nanodet_plus_m_snv2', data='fish'), weights)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.001 * factor)
    assert cfg.train_cfg.max_epochs == epochs


@pytest.mark.parametrize(('images', 'evaluated', 'interval'), [(300, 60, 1), (50, 50, 5), (50, 5000, 12)])
def test_evaluation_takes_a_tenth_of_the_time(images, evaluated, interval):
    cfg = Config(dict(train_cfg=dict(max_epochs=12, val_interval=1)))
    notes = fit_evaluations(cfg, images, evaluated)
    assert cfg.train_cfg.val_interval == interval
    assert ('evaluation' in notes) == (interval > 1)


def test_run_from_a_checkpoint_starts_with_the_config_learning_rate():
    cfg = Config.fromfile(ROOT / 'configs' / 'nanodet_plus_m_snv2.py')
    options = TrainOptions('nanodet_plus_m_snv2', data='fish')
    for weights, factor in ((dict(state_dict=build_model(cfg.model).state_dict()), REFINING), (None, 1)):
        fit_recipe(cfg, 300, options, weights)
        assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.001 * factor)


@pytest.mark.parametrize(('images', 'epochs', 'horizon'), [(300, 10, 19), (300, None, 148), (10**6, 300, 2000)])
def test_averages_cover_at_most_a_twentieth_of_the_run(images, epochs, horizon):
    cfg, notes = fitted('nanodet_plus_m_snv2', images, epochs=epochs)
    average = cfg.custom_hooks[1]
    assert average.gamma == horizon
    if horizon < 2000:
        assert average.momentum == pytest.approx(1 / (horizon + 1))
        assert notes['average'].startswith(f'of the weights over about the last {horizon} of ')
    else:
        assert (average.momentum, 'average' in notes) == (0.0002, False)


def test_explicit_learning_rate_is_not_scaled_with_the_chosen_batch_size():
    cfg, notes = fitted('nanodet_plus_m_snv2', 50, lr=3e-5)
    assert cfg.train_dataloader.batch_size == 8
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(3e-5)
    assert 'learning rate' not in notes


def test_explicit_options_are_not_changed():
    cfg, notes = fitted('nanodet_plus_m_snv2', 300, batch_size=96, epochs=7)
    assert (cfg.train_dataloader.batch_size, cfg.train_cfg.max_epochs) == (96, 7)
    assert set(notes) == {'average', 'learning rate'}
    cfg, notes = fitted('nanodet_plus_m_snv2', 300, lr=0.002)
    assert 'learning rate' not in notes
    cfg, notes = fitted(
        'nanodet_plus_m_snv2',
        300,
        cfg_options={
            'train_dataloader.batch_size': 96,
            'train_cfg.max_epochs': 300,
            'custom_hooks.1.gamma': 2000,
            'optim_wrapper.optimizer.lr': 0.001,
        },
    )
    assert (cfg.train_dataloader.batch_size, cfg.train_cfg.max_epochs, notes) == (96, 300, {})


@pytest.mark.parametrize(
    ('key', 'options', 'kept'),
    [
        ('head.gfl_cls.0.weight', {}, False),
        ('aux_head.gfl_cls.weight', {}, True),
        ('assign_guidance.head.gfl_cls.weight', {}, True),
        ('backbone.conv1.0.weight', {}, True),
        ('head.gfl_cls.0.weight', {'model.train_cfg.assign_guidance.stacked_convs': 2}, True),
    ],
)
@pytest.mark.parametrize('data', [None, 'fish'])
def test_guidance_is_trained_if_in_weights_or_options(tmp_path, key, options, kept, data):
    path = str(tmp_path / 'weights.pth')
    torch.save({'state_dict': {key: torch.zeros(1)}}, path)
    cfg = Config.fromfile(ROOT / 'configs' / 'nanodet_plus_m_snv2.py')
    cfg.load_from = path
    notes = fit_assignment(cfg, TrainOptions('nanodet_plus_m_snv2', data=data, cfg_options=options), start_weights(cfg))
    assert (cfg.model.train_cfg.assign_guidance is not None) == kept
    assert ('assignment' in notes) != kept


@pytest.mark.parametrize('saved', [0.001, 0.0001])
def test_resumed_run_keeps_its_learning_rate(tmp_path, saved):
    """A checkpoint of the run has its classes, even if the start weights did not."""
    cfg = Config.fromfile(ROOT / 'configs' / 'nanodet_plus_m_snv2.py')
    weights = build_model(cfg.model).state_dict()
    text = Config(dict(optim_wrapper=dict(optimizer=dict(lr=saved)), refines_classes=saved < 0.001)).pretty_text
    cfg.load_from, cfg.resume = str(tmp_path / 'epoch_3.pth'), True
    notes = fit_recipe(
        cfg,
        300,
        TrainOptions('nanodet_plus_m_snv2', data='fish', resume='auto'),
        {'state_dict': weights, 'meta': {'cfg': text}},
    )
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(saved)
    assert not cfg.auto_scale_lr.enable
    assert 'learning rate' not in notes
    assert cfg.train_cfg.max_epochs == (12 if saved < 0.001 else 78)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache of downloaded weights; downloads fail."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))

    def fail(*args, **kwargs):
        raise UserError('no network.')

    monkeypatch.setattr('mmdet_shufflenetv2.checkpoints.named.download', fail)
    (tmp_path / 'checkpoints').mkdir()
    return tmp_path / 'checkpoints'


def recipe(path, **options):
    cfg = Config.fromfile(path)
    return cfg, start_from_published(cfg, TrainOptions(str(path), data='fish', **options))


@pytest.mark.parametrize(
    ('config', 'name'),
    [('nanodet_plus_m_snv2_1.5x_416', 'nanodet-plus-m-1.5x-416'), ('nanodet_m_snv2', 'nanodet-m-320')],
)
def test_config_starts_from_its_published_weights(cache, tmp_path, config, name):
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


def test_new_detector_has_guidance():
    cfg = Config.fromfile(ROOT / 'configs' / 'nanodet_plus_m_snv2.py')
    assert fit_assignment(cfg, TrainOptions('nanodet_plus_m_snv2', data='fish'), None) == {}
    assert cfg.model.train_cfg.assign_guidance
