"""V2*, SE, residual, dilated and deep networks."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmdet_shufflenetv2 import ShuffleNetV2, UserError
from mmdet_shufflenetv2.profiling.complexity import count_multiply_adds

VARIANTS = ['torchvision', 'authors']


def randomize_statistics(backbone):
    torch.manual_seed(3)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return backbone.eval()


def main_branch(unit):
    return unit.branch2 if hasattr(unit, 'branch2') else unit.branch_main


@pytest.mark.parametrize('variant', VARIANTS)
def test_v2_star_adds_a_depthwise_convolution_before_the_first_pointwise_convolution(variant):
    plain = ShuffleNetV2(variant=variant)
    star = ShuffleNetV2(variant=variant, large_receptive_field=True)
    for stage in ('stage2', 'stage3', 'stage4'):
        for with_field, without in zip(getattr(star, stage), getattr(plain, stage), strict=True):
            convs = [m for m in main_branch(with_field).modules() if isinstance(m, nn.Conv2d)]
            kinds = [(conv.kernel_size[0], conv.groups == conv.in_channels) for conv in convs]
            assert kinds == [(3, True), (1, False), (3, True), (1, False)]
            assert convs[0].in_channels == convs[1].in_channels
            assert convs[0].stride == (1, 1)
            assert len(list(main_branch(without).children())) == 8
    assert {key for key in star.state_dict() if '.field.' not in key} == set(plain.state_dict())


def test_v2_star_with_identity_kernels_equals_v2():
    plain = randomize_statistics(ShuffleNetV2(widen_factor=0.5))
    star = ShuffleNetV2(widen_factor=0.5, large_receptive_field=True).eval()
    weights = star.state_dict() | plain.state_dict()
    for key in weights:
        if '.field.0.weight' in key:
            weights[key] = (
                torch.zeros(3, 3)
                .index_put((torch.tensor(1), torch.tensor(1)), torch.tensor(1.0))
                .expand_as(weights[key])
            )
        elif '.field.1.running_var' in key:
            weights[key] = torch.full_like(weights[key], 1 - 1e-5)
    star.load_state_dict(weights)
    x = torch.randn(1, 3, 64, 64)
    for a, b in zip(plain(x), star(x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('variant', VARIANTS)
@pytest.mark.parametrize('with_se', [False, True])
@pytest.mark.parametrize('with_residual', [False, True])
def test_a_unit_computes_its_definition(variant, with_se, with_residual):
    backbone = randomize_statistics(
        ShuffleNetV2(widen_factor=0.5, variant=variant, with_se=with_se, with_residual=with_residual, out_indices=(1,))
    )
    unit = backbone.stage2[1]
    x = torch.randn(2, 48, 7, 9)
    identity, selected = x.chunk(2, 1) if variant == 'torchvision' else (x[:, ::2], x[:, 1::2])
    branch = main_branch(unit)
    layers = dict(branch.named_children())
    out = selected
    for name in '0123456':
        out = layers[name](out) if name != '2' else layers[name](out).relu()
    if with_se:
        squeezed = out.mean((2, 3), keepdim=True)
        gate = layers['se'].conv2.conv(layers['se'].conv1.conv(squeezed).relu())
        out = out * torch.sigmoid(gate)
    out = F.relu(out + selected if with_residual else out)
    out = torch.cat((identity, out), 1)
    if variant == 'torchvision':
        out = out.view(2, 2, 24, 7, 9).transpose(1, 2).reshape(2, 48, 7, 9)
    torch.testing.assert_close(unit(x.clone()), out)


@pytest.mark.parametrize('variant', VARIANTS)
def test_strides_and_dilations_of_stages_can_be_set(variant):
    backbone = ShuffleNetV2(
        widen_factor=0.5, variant=variant, strides=(2, 2, 1), dilations=(1, 1, 2), large_receptive_field=True
    ).eval()
    assert [info.stride for info in backbone.feature_info] == [8, 16, 16]
    assert [tuple(out.shape[2:]) for out in backbone(torch.rand(1, 3, 66, 90))] == [(9, 12), (5, 6), (5, 6)]
    for stage, dilation in (('stage3', 1), ('stage4', 2)):
        depthwise = [m for m in getattr(backbone, stage).modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
        assert {m.dilation for m in depthwise} == {(dilation, dilation)}


def test_every_second_output_of_the_dilated_stage_equals_the_strided_stage():
    """Dilation 2 at stride 1 is the subsampled computation at all four phases, away from the border."""
    strided = randomize_statistics(ShuffleNetV2(widen_factor=0.5, out_indices=(2, 3)))
    dilated = ShuffleNetV2(widen_factor=0.5, out_indices=(2, 3), strides=(2, 2, 1), dilations=(1, 1, 2)).eval()
    dilated.load_state_dict(strided.state_dict())
    # In the strided network, the first unit's depthwise convolutions are not dilated.
    for branch in (dilated.stage4[0].branch1[0], dilated.stage4[0].branch2[3]):
        branch.dilation, branch.padding = (1, 1), (1, 1)
    x = torch.randn(1, 3, 320, 320)
    with torch.no_grad():
        a, b = strided(x)[1], dilated(x)[1][:, :, ::2, ::2]
    assert a.shape == b.shape
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('variant', VARIANTS)
def test_the_deep_v2_50_has_the_published_multiply_adds_and_layers(variant):
    backbone = ShuffleNetV2(depth=50, variant=variant, out_indices=(0, 1, 2, 3, 4, 5)).eval()
    assert [info.channels for info in backbone.feature_info] == [64, 244, 488, 976, 1952, 2048]
    assert [info.stride for info in backbone.feature_info] == [4, 4, 8, 16, 32, 32]
    # The first convolution, three per unit, and the last one.
    assert sum(len(getattr(backbone, f'stage{s}')) for s in (2, 3, 4, 5)) * 3 + 2 == 50
    madds = count_multiply_adds(backbone, torch.rand(1, 3, 224, 224)) + 2048 * 1000
    assert madds / 1e9 == pytest.approx(2.3, abs=0.05)
    assert [tuple(out.shape[1:]) for out in backbone(torch.rand(1, 3, 64, 64))][-1] == (2048, 2, 2)


def test_weights_of_the_deep_network_load():
    deep = ShuffleNetV2(depth=50, with_se=True, with_residual=True, large_receptive_field=True, out_indices=(5,))
    loaded = ShuffleNetV2(depth=50, with_se=True, with_residual=True, large_receptive_field=True, out_indices=(5,))
    loaded.load_state_dict({f'backbone.{key}': tensor for key, tensor in deep.state_dict().items()})
    assert all(torch.equal(tensor, loaded.state_dict()[key]) for key, tensor in deep.state_dict().items())


def test_v2_star_rejects_weights_of_v2():
    with pytest.raises(UserError, match=r'stage2\.0\.branch2\.field'):
        ShuffleNetV2(large_receptive_field=True).load_state_dict(ShuffleNetV2().state_dict())


@pytest.mark.parametrize(
    ('kwargs', 'words'),
    [
        (dict(variant='megvii'), ["variant='megvii'", "'torchvision', 'authors'"]),
        (dict(depth=101), ['depth=101', '50']),
        (dict(depth=50, widen_factor=2.0), ['depth=50', 'widen_factor=2.0', 'stage_channels']),
        (dict(strides=(2, 2)), ['strides=(2, 2)', 'stage2, stage3, stage4', '(2, 2, 2)']),
        (dict(strides=(2, 2, 3)), ['1 or 2']),
        (dict(dilations=(1, 1, 0)), ['dilations=(1, 1, 0)', '(1, 1, 1)']),
        (dict(depth=50, stage_channels=(8, 16, 32)), ['stage_channels=(8, 16, 32)', 'four', 'even', 'stage5']),
        (dict(variant='authors', stage_channels=(24, 48, 96)), ["variant='authors'", 'stage2', '24', 'stage_channels']),
        (dict(depth=50, out_indices=(6,)), ['5 (conv6, stride 32)']),
        (dict(depth=50, frozen_stages=6), ['5 (and conv6)']),
    ],
)
def test_errors_for_arguments_out_of_range_list_the_allowed_values(kwargs, words):
    with pytest.raises(UserError) as error:
        ShuffleNetV2(**kwargs)
    assert all(word in str(error.value) for word in words), error.value
