"""Checkpoints in NanoDet's layout are built here independently of the code under test."""

import pickle
import re
from copy import deepcopy
from functools import cache

import pytest
import torch
from conftest import ROOT, SHARED, needs_shared
from lightning import save_as_lightning_does
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from torch import nn

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.checkpoints import nanodet_layout as checkpoint_layout
from mmdet_shufflenetv2.checkpoints.safe_loading import load as load_data
from mmdet_shufflenetv2.config.detector import load_detector
from mmdet_shufflenetv2.config.load import load_config

register_all_modules()


CFG = Config.fromfile(ROOT / 'configs' / 'nanodet_m_snv2.py')


def build(**options):
    cfg = deepcopy(CFG)
    cfg.merge_from_dict({'model.backbone.init_cfg': None} | options)
    return MODELS.build(cfg.model)


class DepthwiseConvModule(nn.Module):
    """The names and shapes of NanoDet's module."""

    def __init__(self, channels, kernel):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.dwnorm, self.pwnorm = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)


@cache
def nanodet(stages=(116, 232, 464), width=96, num_classes=80, levels=3, kernel=3, plus=False):
    """The weights of a detector under NanoDet's keys."""
    from mmdet_shufflenetv2 import ShuffleNetV2

    torch.manual_seed(0)
    lateral = nn.ModuleList(nn.ModuleDict({'conv': nn.Conv2d(c, width, 1)}) for c in stages)
    head = nn.ModuleDict(
        {
            'distribution_project': nn.Module(),
            'cls_convs': nn.ModuleList(
                nn.ModuleList(DepthwiseConvModule(width, kernel) for _ in range(2)) for _ in range(levels)
            ),
            'gfl_cls': nn.ModuleList(nn.Conv2d(width, num_classes + 32, 1) for _ in range(levels)),
        }
    )
    head['distribution_project'].register_buffer('project', torch.arange(8.0))
    if not plus:
        head['gfl_reg'] = nn.ModuleList(nn.Conv2d(width, 32, 1) for _ in range(levels))
    parts = {
        'backbone': ShuffleNetV2(stage_channels=stages),
        'head': head,
        'fpn': nn.ModuleDict({'reduce_layers' if plus else 'lateral_convs': lateral}),
    }
    if plus:
        parts['aux_head'] = nn.Conv2d(3, 4, 1)
    return {
        key: torch.rand_like(tensor) if tensor.is_floating_point() and 'project' not in key else tensor
        for key, tensor in nn.ModuleDict(parts).state_dict().items()
    }


def prefixed(prefix, weights):
    return {prefix + key: tensor for key, tensor in weights.items()}


def assert_loaded(detector, weights):
    """Check that every tensor of NanoDet is loaded into the right layer."""
    ours = detector.state_dict()
    assert len(ours) == sum('gfl_reg' not in key for key in weights)
    for level in range(3):
        assert torch.equal(
            ours[f'neck.lateral_convs.{level}.conv.bias'], weights[f'fpn.lateral_convs.{level}.conv.bias']
        )
        assert torch.equal(ours[f'bbox_head.gfl_cls.{level}.weight'], weights[f'head.gfl_cls.{level}.weight'])
        for i in range(2):
            module, name = detector.bbox_head.cls_convs[level][i], f'head.cls_convs.{level}.{i}'
            for layer, theirs in (
                (module.depthwise_conv.conv, 'depthwise'),
                (module.pointwise_conv.conv, 'pointwise'),
                (module.depthwise_conv.bn, 'dwnorm'),
                (module.pointwise_conv.bn, 'pwnorm'),
            ):
                assert torch.equal(layer.weight, weights[f'{name}.{theirs}.weight'])
    for key, tensor in weights.items():
        if key.startswith('backbone.'):
            assert torch.equal(ours[key], tensor), key


@pytest.fixture
def lines(monkeypatch):
    lines = []
    monkeypatch.setattr(checkpoint_layout, 'print_log', lambda message, **_: lines.append(message))
    return lines


@pytest.mark.parametrize('prefix', ['', 'model.', 'module.model.', 'module.', 'avg_model.'])
def test_nanodets_layout_loads_and_left_out_keys_are_logged(prefix, lines):
    weights = nanodet()
    detector = build()
    state_dict = prefixed(prefix, weights)
    detector.load_state_dict(state_dict)
    assert_loaded(detector, weights)
    assert 'left out head.gfl_reg.0.weight, head.gfl_reg.0.bias and 4 more' in lines[0]
    assert len(lines) == 1
    assert len(state_dict) == len(weights)  # the caller's is not changed


def test_averaged_weights_are_preferred(lines):
    averaged = nanodet()
    last = {key: tensor + 1 for key, tensor in averaged.items()}
    detector = build()
    detector.load_state_dict(prefixed('model.', last) | prefixed('avg_model.', averaged))
    assert_loaded(detector, averaged)
    assert 'taken from avg_model.*, not from model' in lines[0]


def by_init_cfg(path):
    detector = build(**{'model.init_cfg': dict(type='Pretrained', checkpoint=path)})
    detector.init_weights()
    return detector


def by_load_checkpoint(path):
    detector = build()
    load_checkpoint(detector, path, strict=True)
    return detector


@pytest.mark.parametrize('load', [by_init_cfg, by_load_checkpoint])
def test_files_load_by_init_cfg_and_load_checkpoint(load, tmp_path):
    weights = nanodet()
    torch.save({'state_dict': prefixed('model.', weights), 'epoch': 280}, tmp_path / 'nanodet_m.ckpt')
    assert_loaded(load(str(tmp_path / 'nanodet_m.ckpt')), weights)


def by_load_detector(path):
    return load_detector(None, path, 'cpu')


@pytest.mark.parametrize('load', [by_init_cfg, by_load_checkpoint, by_load_detector])
def test_checkpoints_of_lightning_load_unchanged(load, tmp_path):
    averaged, path = nanodet(), tmp_path / 'model_best.ckpt'
    last = {key: tensor + 1 for key, tensor in averaged.items()}
    save_as_lightning_does(prefixed('model.', last) | prefixed('avg_model.', averaged), path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    assert_loaded(load(str(path)), averaged)
    assert load_data(path)['epoch'] == 299
    assert load_config(path).model.type == 'NanoDet'


def test_backbone_and_neck_can_be_loaded_for_other_classes(tmp_path):
    weights = nanodet()
    path = str(tmp_path / 'nanodet_m.ckpt')
    torch.save({'state_dict': prefixed('model.', weights)}, path)
    detector = build(
        **{
            'model.backbone.init_cfg': dict(type='Pretrained', checkpoint=path, prefix='model.backbone.'),
            'model.neck.init_cfg': dict(type='Pretrained', checkpoint=path, prefix='model.fpn.'),
            'model.bbox_head.num_classes': 5,
        }
    )
    detector.init_weights()
    assert torch.equal(detector.backbone.conv1[0].weight, weights['backbone.conv1.0.weight'])
    assert torch.equal(detector.neck.lateral_convs[2].conv.weight, weights['fpn.lateral_convs.2.conv.weight'])


def test_our_own_checkpoints_load_unchanged(lines):
    trained, detector = build(), build()
    detector.load_state_dict(trained.state_dict())
    assert torch.equal(detector.bbox_head.gfl_cls[0].weight, trained.bbox_head.gfl_cls[0].weight)
    assert not lines


def test_a_detector_inside_another_model_reads_nanodets_layout():
    weights = nanodet()
    outer = nn.ModuleDict({'module': build()})
    outer.load_state_dict(prefixed('module.model.', weights))
    assert_loaded(outer['module'], weights)


@pytest.mark.parametrize(
    ('weights', 'words'),
    [
        (dict(plus=True, levels=4, kernel=5), ['NanoDet-Plus', '4 levels', '3 levels', '116, 232, 464']),
        (dict(stages=(176, 352, 704), width=128), ['176, 352, 704', '116, 232, 464']),
        (dict(num_classes=20), ['20 classes', '80 classes']),
        (dict(kernel=5), ['size mismatch: bbox_head.cls_convs.0.0.depthwise_conv.conv.weight']),
    ],
)
@pytest.mark.parametrize('strict', [True, False])
def test_another_variant_is_rejected_with_both_described(weights, words, strict):
    detector = build()
    before = {key: tensor.clone() for key, tensor in detector.state_dict().items()}
    with pytest.raises(UserError) as error:
        detector.load_state_dict(prefixed('model.', nanodet(**weights)), strict=strict)
    assert all(word in str(error.value) for word in ('weights', 'the config', *words)), error.value
    assert all(torch.equal(tensor, before[key]) for key, tensor in detector.state_dict().items())


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (
            lambda weights: {k: v for k, v in weights.items() if not k.startswith('fpn.')},
            ['missing keys: neck.lateral_'],
        ),
        (lambda weights: weights | {'head.more.weight': torch.ones(1)}, ['unexpected keys: bbox_head.more.weight']),
    ],
)
def test_missing_and_unexpected_keys_are_reported(damage, words):
    with pytest.raises(UserError) as error:
        build().load_state_dict(prefixed('model.', damage(nanodet())))
    assert all(word in str(error.value) for word in words), error.value


def test_nanodet_is_recognized_by_its_keys():
    assert checkpoint_layout.is_nanodet(['model.backbone.x', 'model.head.gfl_cls.0.weight'])
    assert checkpoint_layout.is_nanodet(['avg_model.head.cls_convs.0.0.depthwise.weight'])
    assert not checkpoint_layout.is_nanodet(['bbox_head.gfl_cls.weight', 'head.fc.weight', 'backbone.head.gfl_cls.x'])


@needs_shared('weights')
@pytest.mark.parametrize('size', [320, 416])
def test_the_published_weights_load_strictly(size):
    detector = build()
    path = SHARED / 'weights' / f'nanodet_m_{size}.pth'
    load_checkpoint(detector, str(path), strict=True)
    weights = torch.load(path, weights_only=True)['state_dict']
    assert_loaded(detector, {re.sub(r'^model\.', '', key): tensor for key, tensor in weights.items()})
