import pytest
import torch
import torchvision
from mmdet.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdet_shufflenetv2 import ShuffleNetV2
from mmdet_shufflenetv2.models.backbones.architectures import TABLE_5

TORCHVISION = {width: f'shufflenet_v2_x{str(width).replace(".", "_")}' for width in TABLE_5}


def torchvision_model(width, **kwargs):
    """torchvision's network with random weights and random running statistics."""
    torch.manual_seed(0)
    model = torchvision.models.get_model(TORCHVISION[width], **kwargs)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return model.eval()


def torchvision_features(model, x):
    x = model.maxpool(model.conv1(x))
    yield x
    for part in (model.stage2, model.stage3, model.stage4, model.conv5):
        x = part(x)
        yield x


@pytest.mark.parametrize('width', TABLE_5)
@pytest.mark.parametrize('size', [(32, 32), (33, 47), (64, 96), (101, 75)])
def test_features_equal_torchvision(width, size):
    reference = torchvision_model(width)
    backbone = ShuffleNetV2(widen_factor=width, out_indices=(0, 1, 2, 3, 4)).eval()
    backbone.load_state_dict(reference.state_dict())
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        for ours, theirs in zip(backbone(x), torchvision_features(reference, x), strict=True):
            assert ours.shape == theirs.shape
            assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


@pytest.mark.parametrize('width', TABLE_5)
def test_the_state_dict_equals_torchvisions_without_the_classifier(width):
    theirs = torchvision_model(width).state_dict()
    ours = ShuffleNetV2(widen_factor=width, out_indices=(4,)).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items() if not k.startswith('fc.')}


@pytest.mark.parametrize(('width', 'parameters'), [(0.5, 1.37), (1.0, 2.28), (1.5, 3.50), (2.0, 7.39)])
def test_parameters_with_conv5_and_a_classifier_equal_the_paper(width, parameters):
    backbone = ShuffleNetV2(widen_factor=width, out_indices=(4,))
    classifier = nn.Linear(backbone.feature_info[-1].channels, 1000)
    count = sum(p.numel() for module in (backbone, classifier) for p in module.parameters())
    assert count / 1e6 == pytest.approx(parameters, abs=0.006)


@pytest.mark.parametrize(('width', 'madds'), [(0.5, 40.5), (1.0, 144.9), (1.5, 295.8), (2.0, 583.3)])
def test_multiply_adds_at_224_equal_torchvision(width, madds):
    from torch.utils.flop_counter import FlopCounterMode

    backbone = ShuffleNetV2(widen_factor=width, out_indices=(4,)).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        backbone(torch.rand(1, 3, 224, 224))
    classifier = backbone.feature_info[-1].channels * 1000
    assert (counter.get_total_flops() / 2 + classifier) / 1e6 == pytest.approx(madds, abs=0.06)


@pytest.mark.parametrize('out_indices', [(0,), (1,), (0, 2), (1, 2, 3), (3, 4), (0, 1, 2, 3, 4)])
def test_every_parameter_is_used_and_feature_info_is_correct(out_indices):
    backbone = ShuffleNetV2(widen_factor=0.5, out_indices=out_indices)
    outs = backbone(torch.randn(2, 3, 64, 96))
    assert [(info.index, info.channels, info.stride) for info in backbone.feature_info] == [
        (index, out.shape[1], 64 // out.shape[2]) for index, out in zip(out_indices, outs, strict=True)
    ]
    sum(out.square().mean() for out in outs).backward()
    assert all(p.grad is not None for p in backbone.parameters())


@pytest.mark.parametrize('frozen_stages', [-1, 0, 1, 2, 3, 4])
def test_frozen_parts_have_no_gradient_and_their_norms_stay_in_eval_mode(frozen_stages):
    backbone = ShuffleNetV2(widen_factor=0.5, out_indices=(0, 1, 2, 3, 4), frozen_stages=frozen_stages)
    parts = ['conv1', 'stage2', 'stage3', 'stage4', 'conv5']
    for mode in ('new', 'train', 'eval then train'):
        if mode == 'eval then train':
            backbone.eval()
        if mode != 'new':
            backbone.train()
        for index, name in enumerate(parts):
            part = getattr(backbone, name)
            frozen = index <= frozen_stages
            assert all(p.requires_grad is not frozen for p in part.parameters())
            norms = [m for m in part.modules() if isinstance(m, _BatchNorm)]
            assert norms
            assert all(m.training is not frozen for m in norms)


def test_running_statistics_of_a_frozen_stem_do_not_change():
    backbone = ShuffleNetV2(widen_factor=0.5, frozen_stages=0).train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone(torch.randn(2, 3, 64, 64))
    changed = {key.split('.')[0] for key, value in backbone.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {'stage2', 'stage3', 'stage4'}


def test_norm_eval_keeps_all_batch_norms_in_eval_mode():
    backbone = ShuffleNetV2(widen_factor=0.5, norm_eval=True).train()
    norms = [m for m in backbone.modules() if isinstance(m, _BatchNorm)]
    assert norms
    assert not any(m.training for m in norms)
    assert backbone.training


def test_train_and_eval_return_the_backbone():
    backbone = ShuffleNetV2(widen_factor=0.5)
    assert backbone.train() is backbone
    assert backbone.eval() is backbone


def test_checkpointing_does_not_change_outputs_gradients_or_statistics():
    torch.manual_seed(0)
    plain = ShuffleNetV2(widen_factor=0.5, out_indices=(1, 4))
    checkpointed = ShuffleNetV2(widen_factor=0.5, out_indices=(1, 4), with_cp=True)
    checkpointed.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 64, 64)
    for backbone in (plain, checkpointed):
        sum(out.square().mean() for out in backbone(x)).backward()
    for (name, a), b in zip(plain.named_parameters(), checkpointed.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)
    for (name, a), b in zip(plain.named_buffers(), checkpointed.buffers(), strict=True):
        assert torch.equal(a, b), name
    assert all(m.track_running_stats for m in checkpointed.modules() if isinstance(m, _BatchNorm))


def test_checkpointing_saves_activation_memory():

    def bytes_kept(with_cp):
        backbone = ShuffleNetV2(widen_factor=0.5, with_cp=with_cp)
        kept = 0

        def pack(tensor):
            nonlocal kept
            kept += tensor.numel() * tensor.element_size()
            return tensor

        x = torch.randn(2, 3, 128, 128)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            outs = backbone(x)
        assert outs[-1].requires_grad
        return kept

    assert bytes_kept(True) < 0.6 * bytes_kept(False)


@pytest.mark.parametrize(
    'norm_cfg',
    [dict(type='BN', momentum=0.01), dict(type='SyncBN'), dict(type='GN', num_groups=2), dict(type='IN', affine=True)],
)
@pytest.mark.parametrize('act_cfg', [dict(type='ReLU'), dict(type='LeakyReLU', negative_slope=0.1), dict(type='SiLU')])
def test_other_norms_and_activations_can_be_built_and_trained(norm_cfg, act_cfg):
    backbone = ShuffleNetV2(widen_factor=0.5, norm_cfg=norm_cfg, act_cfg=act_cfg)
    if norm_cfg['type'] == 'SyncBN':
        backbone.eval()  # on the CPU it only runs in eval mode
    out = backbone(torch.randn(2, 3, 64, 64))[-1]
    out.mean().backward()
    assert out.isfinite().all()


@pytest.mark.parametrize('stage_channels', [(32, 64, 128), (224, 488, 976), (2, 4, 6)])
def test_stage_channels_sets_other_widths(stage_channels):
    backbone = ShuffleNetV2(stage_channels=stage_channels)
    assert tuple(info.channels for info in backbone.feature_info) == stage_channels
    assert tuple(out.shape[1] for out in backbone(torch.rand(2, 3, 64, 64))) == stage_channels


def test_it_is_registered_with_mmdetection():
    assert isinstance(MODELS.build(dict(type='ShuffleNetV2', widen_factor=0.5)), ShuffleNetV2)


def test_it_can_be_traced():
    backbone = ShuffleNetV2(widen_factor=0.5).eval()
    x = torch.rand(1, 3, 64, 64)
    traced = torch.jit.trace(backbone, x)
    torch.testing.assert_close(traced(x)[-1], backbone(x)[-1])


@pytest.mark.parametrize(
    ('kwargs', 'words'),
    [
        (dict(widen_factor=0.75), ['widen_factor=0.75', '0.5, 1.0, 1.5, 2.0', 'stage_channels']),
        (dict(out_indices=(1, 5)), ['out_indices=(1, 5)', '4 (conv5']),
        (dict(out_indices=(-1,)), ['out_indices']),
        (dict(out_indices=(3, 1)), ['out_indices=(3, 1)', 'ascending']),
        (dict(out_indices=()), ['out_indices']),
        (dict(frozen_stages=5), ['frozen_stages=5', '-1', '4 (and conv5)']),
        (dict(frozen_stages=-2), ['frozen_stages=-2']),
        (dict(stage_channels=(116, 231, 464)), ['stage_channels=(116, 231, 464)', 'three', 'even']),
        (dict(stage_channels=(116, 232)), ['stage_channels=(116, 232)', 'three']),
    ],
)
def test_errors_for_arguments_out_of_range_list_the_allowed_values(kwargs, words):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the words are checked below
        ShuffleNetV2(**kwargs)
    assert all(word in str(error.value) for word in words), error.value


def test_the_docstrings_example_runs():
    import doctest

    from mmdet_shufflenetv2.models.backbones import shufflenet_v2

    result = doctest.testmod(shufflenet_v2)
    assert result.attempted > 3
    assert result.failed == 0
