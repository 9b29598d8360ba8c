import argparse
import copy

import pytest
import torch
from conftest import ROOT, SHARED, needs_shared
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.runner.checkpoint import _load_checkpoint, load_state_dict

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.config.classes import set_classes
from mmdet_shufflenetv2.config.load import load_config
from mmdet_shufflenetv2.models.class_layers import ReinitClassLayersHook, reinit_class_layers


def detector(name, num_classes):
    register_all_modules(init_default_scope=True)
    cfg = load_config(ROOT / 'configs' / f'{name}.py')
    cfg.model.backbone.init_cfg = None
    set_classes(cfg, [str(number) for number in range(num_classes)])
    return MODELS.build(cfg.model)


class Runner:
    """The part of MMEngine's runner that the hook reads."""

    def __init__(self, model):
        self.model = model


@pytest.mark.parametrize(
    ('name', 'layers'),
    [
        ('faster_rcnn_snv2_lite', ['roi_head.bbox_head.fc_cls', 'roi_head.bbox_head.fc_reg']),
        ('retinanet_snv2_lite', [f'bbox_head.{layer}' for layer in ('retina_cls',)]),
        ('nanodet_m_snv2', [f'bbox_head.gfl_cls.{level}' for level in range(3)]),
    ],
)
def test_everything_except_the_class_layers_is_loaded(name, layers):
    model, other = detector(name, 3), detector(name, 7)
    own, weights = copy.deepcopy(model.state_dict()), other.state_dict()
    assert reinit_class_layers(model, weights) == layers
    model.load_state_dict(weights)
    for key, tensor in model.state_dict().items():
        is_class_layer = key.rsplit('.', 1)[0] in layers
        if name == 'nanodet_m_snv2' and is_class_layer:  # 4 x 8 distances follow the classes
            assert torch.equal(tensor[:3], own[key][:3])
            assert torch.equal(tensor[3:], other.state_dict()[key][7:])
        else:
            assert torch.equal(tensor, (own if is_class_layer else other.state_dict())[key]), key


def test_with_the_same_number_of_classes_weights_are_unchanged():
    model = detector('nanodet_m_snv2', 3)
    assert reinit_class_layers(model, detector('nanodet_m_snv2', 3).state_dict()) == []


@needs_shared('weights', 'nanodet_m_320.pth')
def test_nanodets_own_checkpoint_loads_for_other_classes():
    published = torch.load(SHARED / 'weights' / 'nanodet_m_320.pth', weights_only=True)
    original = detector('nanodet_m_snv2', 80)
    original.load_state_dict(published['state_dict'])
    model = detector('nanodet_m_snv2', 5)
    ReinitClassLayersHook().after_load_checkpoint(Runner(model), published)
    model.load_state_dict(published['state_dict'])
    for key, tensor in model.state_dict().items():
        expected = original.state_dict()[key]
        assert torch.equal(tensor[5:], expected[80:]) if 'gfl_cls' in key else torch.equal(tensor, expected), key


def test_weights_of_another_nanodet_are_still_rejected():
    checkpoint = {'state_dict': {'model.head.gfl_cls.0.weight': torch.ones(112, 96, 1, 1)}}
    with pytest.raises(UserError, match='config.*NanoDet'):
        ReinitClassLayersHook().after_load_checkpoint(Runner(detector('nanodet_m_snv2', 5)), checkpoint)


def test_training_starts_from_checkpoints_of_other_trainers(tmp_path):
    model, other = detector('retinanet_snv2_lite', 3), detector('retinanet_snv2_lite', 7)
    torch.save(
        {
            'ema': {'module': {f'_orig_mod.{key}': value for key, value in other.state_dict().items()}},
            'model': {},
            'args': argparse.Namespace(lr=1),
        },
        tmp_path / 'theirs.pth',
    )
    checkpoint = _load_checkpoint(str(tmp_path / 'theirs.pth'))
    ReinitClassLayersHook().after_load_checkpoint(Runner(model), checkpoint)
    load_state_dict(model, checkpoint['state_dict'], strict=True)
    for key, tensor in model.state_dict().items():
        assert 'retina_cls' in key or torch.equal(tensor, other.state_dict()[key]), key
