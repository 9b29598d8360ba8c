"""The ``authors`` variant against an independent implementation of the released network, from its published keys."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmdet_shufflenetv2 import ShuffleNetV2, UserError
from mmdet_shufflenetv2.profiling.complexity import count_multiply_adds

# Multiply-adds and parameters in millions: table 5 of the paper and the released code.
PUBLISHED = {0.5: (40.5, 1.37), 1.0: (145.8, 2.28), 1.5: (299.0, 3.51), 2.0: (590.8, 7.40)}


def published_state_dict(backbone):
    """Random weights with the keys of the authors' release, including the classifier."""
    torch.manual_seed(2)
    firsts = {'stage2': 0, 'stage3': 4, 'stage4': 12}
    renamed = {}
    for key, tensor in backbone.state_dict().items():
        part, *rest = key.split('.')
        if part in firsts:
            part, rest = 'features', [str(firsts[part] + int(rest[0])), *rest[1:]]
        part = {'conv1': 'first_conv', 'conv5': 'conv_last'}.get(part, part)
        renamed['.'.join([part, *rest])] = (
            tensor.uniform_(0.5, 1)
            if tensor.ndim == 1
            else torch.randn_like(tensor) / (tensor[0].numel() ** 0.5)
            if tensor.is_floating_point()
            else tensor
        )
    return renamed | {'classifier.0.weight': torch.ones(10, backbone.feature_info[-1].channels)}


def authors_features(weights, x):
    """The released network: each unit of stride 1 splits its input into even and odd channels."""

    def conv(name, x, act, stride=1, groups=1):
        kernel = weights[f'{name}.weight']
        x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2, groups=groups)
        prefix, index = name.rsplit('.', 1)
        norm = [weights[f'{prefix}.{int(index) + 1}.{t}'] for t in ('running_mean', 'running_var', 'weight', 'bias')]
        x = F.batch_norm(x, *norm, eps=1e-5)
        return x.relu() if act else x

    def main(unit, x, stride):
        x = conv(f'{unit}.branch_main.0', x, True)
        x = conv(f'{unit}.branch_main.3', x, False, stride, x.shape[1])
        return conv(f'{unit}.branch_main.5', x, True)

    x = F.max_pool2d(conv('first_conv.0', x, True, 2), 3, 2, 1)
    yield x
    for number in range(16):
        unit = f'features.{number}'
        if f'{unit}.branch_proj.0.weight' in weights:
            proj = conv(f'{unit}.branch_proj.0', x, False, 2, x.shape[1])
            x = torch.cat((conv(f'{unit}.branch_proj.2', proj, True), main(unit, x, 2)), 1)
        else:
            x = torch.cat((x[:, ::2], main(unit, x[:, 1::2], 1)), 1)
        if number in (3, 11, 15):
            yield x
    yield conv('conv_last.0', x, True)


@pytest.mark.parametrize('width', PUBLISHED)
@pytest.mark.parametrize('size', [(64, 96), (33, 47)])
def test_features_of_the_authors_checkpoint_equal_the_released_network(width, size):
    backbone = ShuffleNetV2(widen_factor=width, variant='authors', out_indices=(0, 1, 2, 3, 4)).eval()
    weights = published_state_dict(backbone)
    loaded = ShuffleNetV2(widen_factor=width, variant='authors', out_indices=(0, 1, 2, 3, 4)).eval()
    loaded.load_state_dict({f'module.{key}': tensor for key, tensor in weights.items()})
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        for ours, theirs in zip(loaded(x), authors_features(weights, x), strict=True):
            assert ours.shape == theirs.shape
            assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


@pytest.mark.parametrize('width', PUBLISHED)
def test_multiply_adds_and_parameters_equal_the_paper(width):
    backbone = ShuffleNetV2(widen_factor=width, variant='authors', out_indices=(4,)).eval()
    channels = backbone.feature_info[-1].channels
    madds = count_multiply_adds(backbone, torch.rand(1, 3, 224, 224)) + channels * 1000
    parameters = sum(p.numel() for p in backbone.parameters()) + channels * 1000  # the classifier has no bias
    assert (madds / 1e6, parameters / 1e6) == (
        pytest.approx(PUBLISHED[width][0], abs=0.06),
        pytest.approx(PUBLISHED[width][1], abs=0.006),
    )


def test_one_branch_of_the_downsampling_unit_keeps_the_input_width():
    unit = ShuffleNetV2(variant='authors').stage2[0]
    widths = {name: branch[-3].out_channels for name, branch in unit.named_children()}
    assert widths == {'branch_proj': 24, 'branch_main': 92}


@pytest.mark.parametrize(('given', 'expected'), [('torchvision', 'authors'), ('authors', 'torchvision')])
@pytest.mark.parametrize('width', [0.5, 1.0])
def test_weights_of_the_other_variant_are_rejected_even_if_all_shapes_are_equal(given, expected, width):
    weights = ShuffleNetV2(widen_factor=width, variant=given).state_dict()
    with pytest.raises(UserError, match=f"'{given}'.*'{expected}'"):
        ShuffleNetV2(widen_factor=width, variant=expected).load_state_dict(weights)


def test_the_error_for_weights_of_another_width_contains_both_widths():
    weights = published_state_dict(ShuffleNetV2(widen_factor=1.5, variant='authors', out_indices=(4,)))
    with pytest.raises(UserError, match=r'\(176, 352, 704\).*\(116, 232, 464\)'):
        ShuffleNetV2(variant='authors').load_state_dict(weights)


def test_every_parameter_gets_a_gradient():
    backbone = ShuffleNetV2(widen_factor=0.5, variant='authors')
    sum(out.square().mean() for out in backbone(torch.randn(2, 3, 64, 64))).backward()
    assert all(p.grad is not None for p in backbone.parameters())
    assert any(isinstance(m, nn.BatchNorm2d) for m in backbone.modules())
