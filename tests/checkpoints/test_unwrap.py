import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.checkpoints import unwrap
from mmdet_shufflenetv2.checkpoints.unwrap import find_weights, strip_prefixes, unwrap_weights
from mmdet_shufflenetv2.models.build import build_model

WEIGHTS = {'backbone.conv.weight': torch.ones(1), 'head.weight': torch.zeros(1)}


@pytest.fixture
def lines(monkeypatch):
    lines = []
    monkeypatch.setattr(unwrap, 'print_log', lambda message, **_: lines.append(message))
    return lines


@pytest.mark.parametrize(
    ('checkpoint', 'said'),
    [
        (WEIGHTS, []),
        ({'state_dict': WEIGHTS, 'ema_state_dict': {}, 'model': {}}, []),
        ({'model': WEIGHTS, 'epoch': 3}, ["'model'"]),
        ({'model_state_dict': WEIGHTS, 'model': None}, ["'model_state_dict'"]),
        ({'model': {}, 'ema': WEIGHTS}, ["'ema'"]),
        ({'model': {}, 'ema': {'module': WEIGHTS, 'updates': 9}}, ["'ema.module'"]),
        ({'model': {}, 'ema': None, 'ema_state_dict': WEIGHTS}, ["'ema_state_dict'"]),
        ({'state_dict': None, 'model': WEIGHTS}, ["'model'"]),
    ],
)
def test_weights_are_found_in_the_entries_of_all_trainers_averaged_ones_first(checkpoint, said, lines):
    assert find_weights(checkpoint) is WEIGHTS
    assert len(lines) == len(said)
    assert all(word in line for word, line in zip(said, lines, strict=True))


@pytest.mark.parametrize(
    'prefix',
    [
        'module.',
        '_orig_mod.',
        'model.',
        'avg_model.',
        'module._orig_mod.',
        '_orig_mod.module.',
        'module.model.',
        'model._orig_mod.',
    ],
)
def test_prefixes_of_wrappers_are_stripped_and_logged(prefix, lines):
    found = unwrap_weights({'state_dict': {prefix + name: tensor for name, tensor in WEIGHTS.items()}})
    assert found == WEIGHTS
    assert all(f'{part}.*' in lines[0] for part in prefix.rstrip('.').split('.'))


def test_the_versions_of_layers_are_kept():
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.BatchNorm2d(1))
    wrapped = torch.nn.ModuleDict({'module': torch.nn.ModuleDict({'model': model}), 'loss': torch.nn.BatchNorm2d(1)})
    assert unwrap_weights(wrapped.state_dict())._metadata == model.state_dict()._metadata


def test_averaged_weights_are_preferred_and_other_modules_left_out(lines):
    names = ['model.a', 'avg_model.a', 'loss.weight']
    assert strip_prefixes(names) == ({'a': 'avg_model.a'}, ['taken from avg_model.*, not from loss, model'])


@pytest.mark.parametrize('own', [['model.a'], ['module.b', 'model.a']])
def test_a_prefix_of_the_models_own_keys_is_kept(own, lines):
    assert unwrap_weights({'model.a': 1}, own) == {'model.a': 1}
    assert not lines


def test_unwrapped_weights_are_returned_without_a_copy_or_a_log(lines):
    assert unwrap_weights(WEIGHTS) is WEIGHTS
    assert not lines


BACKBONE = dict(type='ShuffleNetV2', widen_factor=0.5)


@pytest.mark.parametrize(
    'wrapped',
    [
        lambda weights: weights,
        lambda weights: {'state_dict': weights},
        lambda weights: {'ema': {'module': {f'module.{key}': value for key, value in weights.items()}}},
        lambda weights: {'model_state_dict': {f'_orig_mod.{key}': value for key, value in weights.items()}},
    ],
)
def test_a_model_is_built_with_weights_in_any_wrapper(wrapped, tmp_path):
    trained = build_model(BACKBONE)
    torch.save(wrapped(trained.state_dict()), tmp_path / 'x.pth')
    model = build_model(BACKBONE, tmp_path / 'x.pth')
    assert not model.training
    for key, tensor in trained.state_dict().items():
        assert torch.equal(model.state_dict()[key], tensor)


def test_weights_of_another_model_are_rejected_with_the_file_name(tmp_path):
    torch.save({'state_dict': {'conv.weight': torch.ones(1)}}, tmp_path / 'other.pth')
    with pytest.raises(UserError, match=r'other\.pth do not match'):
        build_model(dict(type='RetinaHead', num_classes=2, in_channels=8), tmp_path / 'other.pth')


def test_a_file_without_weights_is_rejected(tmp_path):
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(UserError, match=r'list\.pth.*list'):
        build_model(BACKBONE, tmp_path / 'list.pth')


def test_building_does_not_load_pretrained_files_or_change_the_config():
    missing = dict(type='Pretrained', checkpoint='nowhere.pth')
    normal = dict(type='Normal', layer='Conv2d', std=0.5)
    cfg = ConfigDict(
        type='RetinaNet',
        init_cfg=missing,
        backbone=dict(BACKBONE, init_cfg=[missing, normal]),
        neck=dict(type='FPN', in_channels=[48, 96, 192], out_channels=8, num_outs=3, init_cfg=missing),
        bbox_head=dict(type='RetinaHead', num_classes=2, in_channels=8),
        data_preprocessor=None,
    )
    before = cfg.to_dict()
    model = build_model(cfg)
    model.init_weights()
    assert cfg.to_dict() == before
    assert 0.4 < model.backbone.conv1[0].weight.std() < 0.6


def test_a_config_that_cannot_be_built_is_reported():
    with pytest.raises(UserError, match='NoSuchModel'):
        build_model(dict(type='NoSuchModel'))
    assert 'NoSuchModel' not in MODELS
