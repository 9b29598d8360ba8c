"""The layouts of other code bases are taken from their own module trees, independently of the code under test."""

import json
import re
from pathlib import Path

import pytest
import torch
import torchvision
from conftest import SHARED, needs_shared
from mmdet.utils import register_all_modules
from mmengine.runner import load_checkpoint
from torch import nn

from mmdet_shufflenetv2 import ShuffleNetV2, UserError
from mmdet_shufflenetv2.checkpoints import shufflenet_layouts as checkpoint_layouts

LAYOUT_KEYS = json.loads((Path(__file__).parents[1] / 'data' / 'layout_keys.json').read_text())


def reference():
    torch.manual_seed(1)
    model = torchvision.models.shufflenet_v2_x0_5(num_classes=10)
    for tensor in model.state_dict().values():
        if tensor.dtype.is_floating_point:
            tensor.uniform_(0.2, 1)
    return model.eval()


def in_layout(name):
    """torchvision's weights under another code base's keys, which list its tensors in the same order of modules."""
    ours, theirs = reference().state_dict(), LAYOUT_KEYS[name]
    assert len(ours) == len(theirs)
    state_dict = dict(zip(theirs, ours.values()))
    assert {key: list(tensor.shape) for key, tensor in state_dict.items()} == {
        key: shape
        if not key.endswith(('fc.weight', 'fc.bias', 'classifier.0.weight', 'classifier.0.bias'))
        else [10, *shape[1:]]
        for key, shape in theirs.items()
    }
    return state_dict


def assert_loaded(backbone):
    expected = reference().state_dict()
    for key, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, expected[key]), key


LAYOUTS = ['torchvision', 'mmpretrain', 'ericsun99']


def state_dict_in(layout):
    return reference().state_dict() if layout == 'torchvision' else in_layout(layout)


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('prefix', ['', 'module.', 'backbone.', 'module.backbone.', 'model.backbone.', '_orig_mod.'])
@pytest.mark.parametrize('out_indices', [(1, 2, 3), (4,), (0, 2)])
def test_every_layout_is_recognized_and_loaded(layout, prefix, out_indices):
    backbone = ShuffleNetV2(widen_factor=0.5, out_indices=out_indices)
    backbone.load_state_dict({prefix + key: tensor for key, tensor in state_dict_in(layout).items()})
    assert_loaded(backbone)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_the_callers_state_dict_is_not_changed(layout):
    state_dict = state_dict_in(layout)
    keys = list(state_dict)
    ShuffleNetV2(widen_factor=0.5).load_state_dict(state_dict)
    assert list(state_dict) == keys


@pytest.mark.parametrize('layout', LAYOUTS)
def test_init_cfg_reads_every_layout(layout, tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(checkpoint_layouts, 'print_log', lambda message, **_: lines.append(message))
    torch.save({'state_dict': state_dict_in(layout), 'meta': {}}, tmp_path / 'weights.pth')
    backbone = ShuffleNetV2(
        widen_factor=0.5, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth'))
    )
    backbone.init_weights()
    assert_loaded(backbone)
    assert len(lines) == 1
    assert 'left out conv5' in lines[0]
    assert (layout in lines[0]) == (layout != 'torchvision')


def test_a_detectors_checkpoint_loads_into_the_backbone():
    detector = nn.ModuleDict({'backbone': ShuffleNetV2(widen_factor=0.5), 'neck': nn.Conv2d(3, 4, 1)})
    backbone = ShuffleNetV2(widen_factor=0.5)
    backbone.load_state_dict({f'module.{key}': tensor for key, tensor in detector.state_dict().items()})
    for key, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, detector['backbone'].state_dict()[key])


@pytest.mark.parametrize('layout', LAYOUTS)
def test_a_backbone_inside_a_detector_reads_every_layout(layout, tmp_path):
    detector = nn.ModuleDict({'backbone': ShuffleNetV2(widen_factor=0.5), 'neck': nn.Conv2d(3, 4, 1)})
    weights = {f'backbone.{key}': tensor for key, tensor in state_dict_in(layout).items()}
    weights |= {'neck.weight': torch.ones(4, 3, 1, 1), 'neck.bias': torch.ones(4)}
    torch.save(weights, tmp_path / 'detector.pth')
    load_checkpoint(detector, str(tmp_path / 'detector.pth'), strict=True)
    assert_loaded(detector['backbone'])


def test_a_state_dict_without_the_backbone_gets_pytorchs_own_error():
    detector = nn.ModuleDict({'backbone': ShuffleNetV2(widen_factor=0.5), 'neck': nn.Conv2d(3, 4, 1)})
    neck_only = {'neck.weight': torch.ones(4, 3, 1, 1), 'neck.bias': torch.ones(4)}
    missing = detector.load_state_dict(neck_only, strict=False).missing_keys
    assert all(key.startswith('backbone.') for key in missing)
    with pytest.raises(RuntimeError, match='Missing key'):
        detector.load_state_dict(neck_only)


@pytest.mark.parametrize(
    'layers',
    [
        dict(act_cfg=dict(type='PReLU')),
        dict(conv_cfg=dict(type='DCNv2', deform_groups=1)),
        dict(conv_cfg=dict(type='ConvAWS')),
        dict(norm_cfg=dict(type='IN', affine=True)),
        dict(act_cfg=dict(type='PReLU'), variant='authors', large_receptive_field=True, with_se=True),
    ],
)
@pytest.mark.parametrize('prefix', ['', 'module.backbone.'])
@pytest.mark.parametrize('built', [(4,), (1, 2)])
def test_layers_of_every_type_load_their_own_weights(layers, prefix, built):
    register_all_modules(init_default_scope=True)
    saved, backbone = (ShuffleNetV2(widen_factor=0.5, **dict(layers, out_indices=out)) for out in ((4,), built))
    backbone.load_state_dict({prefix + key: tensor for key, tensor in saved.state_dict().items()})
    expected = saved.state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in backbone.state_dict().items())


def test_weights_of_other_layers_are_rejected():
    prelu, relu = ShuffleNetV2(act_cfg=dict(type='PReLU')), ShuffleNetV2()
    with pytest.raises(UserError, match=r'unexpected keys: conv1\.2\.weight.*act_cfg'):
        relu.load_state_dict(prelu.state_dict())
    with pytest.raises(UserError, match=r'missing keys: conv1\.2\.weight'):
        prelu.load_state_dict(relu.state_dict())


def test_weights_of_another_width_are_rejected():
    with pytest.raises(UserError, match='another width'):
        ShuffleNetV2(widen_factor=0.5).load_state_dict(ShuffleNetV2(widen_factor=1.0).state_dict())


def without(pattern):
    return {key: tensor for key, tensor in reference().state_dict().items() if not re.search(pattern, key)}


@pytest.mark.parametrize(
    ('state_dict', 'words'),
    [
        (lambda: {'layer1.0.conv1.weight': torch.ones(1), 'bn1.weight': torch.ones(1)}, ['layout', 'bn1.weight']),
        (lambda: {'state_dict': {}, 'meta': {}}, ["checkpoint['state_dict']"]),
        (lambda: reference().state_dict() | {'conv9.weight': torch.ones(1)}, ['unexpected', 'conv9.weight']),
        (lambda: reference().state_dict() | {'stage2.4.branch2.0.weight': torch.ones(1)}, ['keys: stage2.4.branch2.0']),
        (
            lambda: in_layout('mmpretrain') | {'layers.0.0.branch1.2.conv.weight': torch.ones(1)},
            ['unexpected', 'branch1'],
        ),
        (lambda: without(r'stage3\.2\.'), ['missing keys: stage3.2.branch2.0.weight']),
        (lambda: torchvision.models.shufflenet_v2_x1_0().state_dict(), ['(116, 232, 464)', '(48, 96, 192)']),
        (lambda: torchvision.models.shufflenet_v2_x1_5().state_dict(), ['another width', 'widen_factor']),
    ],
)
def test_weights_that_do_not_match_are_rejected_and_change_nothing(state_dict, words, tmp_path):
    backbone = ShuffleNetV2(widen_factor=0.5)
    before = {key: tensor.clone() for key, tensor in backbone.state_dict().items()}
    for strict in (True, False):
        with pytest.raises(UserError) as error:
            backbone.load_state_dict(state_dict(), strict=strict)
        assert all(word in str(error.value) for word in words), error.value
    assert all(torch.equal(tensor, before[key]) for key, tensor in backbone.state_dict().items())


def test_batch_norm_weights_are_rejected_by_a_group_norm():
    with pytest.raises(UserError, match='norm_cfg'):
        ShuffleNetV2(widen_factor=0.5, norm_cfg=dict(type='GN', num_groups=2)).load_state_dict(reference().state_dict())


def test_old_weights_without_batch_counts_load():
    backbone = ShuffleNetV2(widen_factor=0.5)
    backbone.load_state_dict(without('num_batches_tracked'), strict=False)
    assert torch.equal(backbone.conv1[0].weight, reference().conv1[0].weight)


@needs_shared('weights')
def test_nanodets_backbone_loads():
    backbone = ShuffleNetV2(act_cfg=dict(type='LeakyReLU', negative_slope=0.1))
    path = SHARED / 'weights' / 'shufflenetv2_x1_0_leakyrelu_nanodet_m.pth'
    load_checkpoint(backbone, str(path), strict=True)
    expected = torch.load(path, weights_only=True)
    assert all(torch.equal(tensor, expected[key]) for key, tensor in backbone.state_dict().items())
