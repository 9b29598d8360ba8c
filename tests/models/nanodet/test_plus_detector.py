"""The assign guidance of NanoDet-Plus: its gradients, and its weights in checkpoints."""

from copy import deepcopy

import pytest
import torch
from conftest import ROOT
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.structures import InstanceData

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.models.build import build_model, load_weights
from mmdet_shufflenetv2.models.class_layers import reinit_class_layers

register_all_modules()


def model_cfg(name='nanodet_plus_m_snv2', **options):
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    cfg.merge_from_dict(
        {
            'model.backbone.init_cfg': None,
            'model.bbox_head.num_classes': 3,
            'model.train_cfg.assign_guidance.stacked_convs': 1,
        }
        | options
    )
    return cfg.model


def built(**options):
    torch.manual_seed(0)
    detector = MODELS.build(model_cfg(**options))
    detector.init_weights()
    return detector.train()


def batch():
    gt = InstanceData(
        bboxes=torch.tensor([[5.0, 5.0, 60.0, 50.0], [20.0, 10.0, 90.0, 60.0]]), labels=torch.tensor([0, 2])
    )
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)), [
        DetDataSample(gt_instances=gt, metainfo=dict(img_shape=(64, 96))) for _ in range(2)
    ]


def parts_with_gradient(detector, kind):
    """Names of the parts that get a gradient from losses of one kind, ``loss_`` or ``aux_loss_``."""
    detector.zero_grad()
    losses = detector.loss(*batch())
    sum(loss for name, loss in losses.items() if name.startswith(kind)).backward()
    parts = dict(
        backbone=detector.backbone,
        neck=detector.neck,
        head=detector.bbox_head,
        aux_neck=detector.assign_guidance.neck,
        aux_head=detector.assign_guidance.head,
    )
    return {
        name
        for name, part in parts.items()
        if any(p.grad is not None and p.grad.abs().max() > 0 for p in part.parameters())
    }


@pytest.mark.parametrize(
    ('detached', 'kind', 'parts'),
    [
        (False, 'loss_', {'backbone', 'neck', 'head'}),
        (False, 'aux_loss_', {'backbone', 'neck', 'aux_neck', 'aux_head'}),
        (True, 'loss_', {'backbone', 'neck', 'head'}),
        (True, 'aux_loss_', {'aux_neck', 'aux_head'}),
    ],
)
def test_gradients_of_the_guidance_reach_the_detector_until_it_is_detached(detached, kind, parts):
    detector = built()
    detector.assign_guidance.detached = detached
    assert parts_with_gradient(detector, kind) == parts


def test_the_auxiliary_head_decides_the_targets_of_both_heads():
    detector = built()
    losses = detector.loss(*batch())
    assert set(losses) == {f'{aux}loss_{kind}' for aux in ('', 'aux_') for kind in ('cls', 'bbox', 'dfl')}
    # Another auxiliary head gives the detector's head other targets.
    with torch.no_grad():
        detector.assign_guidance.head.gfl_reg.bias.copy_(torch.linspace(-5, 5, 32))
    assert detector.loss(*batch())['loss_bbox'] != losses['loss_bbox']


def test_the_auxiliary_neck_starts_as_a_copy_of_the_detectors():
    detector = built()
    for ours, theirs in zip(detector.assign_guidance.neck.parameters(), detector.neck.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_detector_for_inference_has_no_guidance_and_loads_a_training_checkpoint():
    trained = built()
    detector = build_model(model_cfg())
    assert detector.assign_guidance is None
    load_weights(detector, {'state_dict': deepcopy(trained.state_dict())}, 'epoch_1.pth')
    assert torch.equal(detector.neck.reduce_layers[0].conv.weight, trained.neck.reduce_layers[0].conv.weight)


def test_weights_for_inference_also_initialize_the_auxiliary_neck():
    weights = build_model(model_cfg()).state_dict()
    detector = built()
    head = deepcopy(detector.assign_guidance.head.state_dict())
    load_weights(detector, {'state_dict': deepcopy(weights)}, 'best.pth')
    for key, tensor in detector.assign_guidance.neck.state_dict().items():
        assert torch.equal(tensor, weights[f'neck.{key}'])
    for key, tensor in detector.assign_guidance.head.state_dict().items():
        assert torch.equal(tensor, head[key])


def renamed_as_nanodet(weights):
    """Rename our keys to NanoDet's."""

    def theirs(key):
        for ours, named in (
            ('assign_guidance.neck.', 'aux_fpn.'),
            ('assign_guidance.head.', 'aux_head.'),
            ('bbox_head.', 'head.'),
            ('.depthwise_conv.conv.', '.depthwise.'),
            ('.depthwise_conv.bn.', '.dwnorm.'),
            ('.pointwise_conv.conv.', '.pointwise.'),
            ('.pointwise_conv.bn.', '.pwnorm.'),
            ('.integral.', '.distribution_project.'),
            ('lvl_in_conv.', 'lvl_in_conv.0.'),
            ('lvl_out_conv.', 'lvl_out_conv.0.'),
        ):
            key = key.replace(ours, named)
        key = key.replace('.ghost', '.blocks.0.ghost').replace('.shortcut', '.blocks.0.shortcut')
        return 'fpn.' + key.removeprefix('neck.') if key.startswith('neck.') else key

    return {theirs(key): tensor for key, tensor in weights.items()}


@pytest.mark.parametrize('prefix', ['', pytest.param('model.', marks=pytest.mark.slow)])
def test_nanodet_checkpoints_with_the_guidance_load(prefix):
    """``nanodet_model_best.pth`` has the guidance and no prefix."""
    trained, detector = built(), built()
    with torch.no_grad():
        for tensor in trained.state_dict().values():
            if tensor.is_floating_point():
                tensor += 0.25
    weights = {prefix + key: tensor for key, tensor in renamed_as_nanodet(trained.state_dict()).items()}
    assert any('aux_fpn' in key for key in weights)
    load_weights(detector, {'state_dict': weights}, 'nanodet_model_best.pth')
    for key, tensor in detector.state_dict().items():
        assert torch.equal(tensor, trained.state_dict()[key]), key
    load_weights(build_model(model_cfg()), {'state_dict': weights}, 'nanodet_model_best.pth')


def test_with_another_number_of_classes_the_class_outputs_of_both_heads_are_re_initialized():
    weights = built(**{'model.bbox_head.num_classes': 5}).state_dict()
    detector = built()
    layers = reinit_class_layers(detector, weights)
    assert layers == [*(f'bbox_head.gfl_cls.{level}' for level in range(4)), 'assign_guidance.head.gfl_cls']
    detector.load_state_dict(weights)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'name': 'nanodet_m_snv2', 'model.train_cfg': None}, ['NanoDet-Plus (', 'NanoDet (']),
        ({'name': 'nanodet_plus_m_snv2_1.5x'}, ['116, 232, 464', '176, 352, 704']),
        ({'model.bbox_head.num_classes': 7}, ['3 classes', '7 classes']),
    ],
)
def test_weights_of_another_nanodet_are_rejected_in_both_directions(options, words):
    if 'model.train_cfg' in options:
        cfg = Config.fromfile(ROOT / 'configs' / 'nanodet_m_snv2.py').model
        cfg.bbox_head.num_classes = 3
        other = build_model(cfg)
    else:
        other = build_model(model_cfg(**options))
    mine = build_model(model_cfg())
    for config_of, weights_of in ((mine, other), (other, mine)):
        with pytest.raises(UserError) as error:
            load_weights(config_of, {'state_dict': renamed_as_nanodet(weights_of.state_dict())}, 'file.pth')
        assert all(word in str(error.value) for word in words), error.value
        assert '\n' not in str(error.value)
