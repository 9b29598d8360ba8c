import copy
import functools

import pytest
import torch
from conftest import ROOT
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from torch import nn

from mmdet_shufflenetv2 import ShuffleNetV2, UserError
from mmdet_shufflenetv2.deploy import shuffle_free, shuffle_free_detector
from mmdet_shufflenetv2.models.backbones.shuffle_unit import BasicUnit

WIDTHS = (0.5, 1.0, 1.5, 2.0)


def trained(**kwargs):
    """A backbone with statistics and weights similar to trained ones."""
    torch.manual_seed(0)
    backbone = ShuffleNetV2(**kwargs)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return backbone.eval()


def assert_equal(got, wanted):
    assert got.shape == wanted.shape
    assert (got - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@pytest.mark.parametrize('block', [1, 16])
@pytest.mark.parametrize(
    ('kwargs', 'size'),
    [
        *((dict(widen_factor=width), size) for width in WIDTHS for size in ((64, 96), (75, 101))),
        *((dict(widen_factor=width, variant='authors'), (75, 101)) for width in WIDTHS),
        (dict(widen_factor=0.5, large_receptive_field=True), (75, 101)),
        (dict(widen_factor=0.5, with_se=True), (75, 101)),
        (dict(widen_factor=0.5, with_residual=True), (75, 101)),
        (
            dict(widen_factor=0.5, variant='authors', large_receptive_field=True, with_se=True, with_residual=True),
            (64, 64),
        ),
        (dict(widen_factor=0.5, strides=(2, 2, 1), dilations=(1, 1, 2)), (75, 101)),
        (dict(stage_channels=(6, 14, 22)), (64, 96)),
        (dict(stage_channels=(2, 4, 10)), (33, 47)),
        (dict(act_cfg=dict(type='LeakyReLU', negative_slope=0.1)), (33, 47)),
        (dict(widen_factor=0.5, act_cfg=dict(type='SiLU')), (33, 47)),
        *(
            (
                dict(widen_factor=0.5, large_receptive_field=True, conv_cfg=dict(type='Conv2d', padding_mode=mode)),
                (75, 101),
            )
            for mode in ('circular', 'reflect', 'replicate')
        ),
    ],
)
def test_outputs_equal_the_backbone(kwargs, size, block):
    backbone = trained(out_indices=(0, 1, 2, 3, 4), **kwargs)
    fast = shuffle_free(backbone, block=block)
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        for got, wanted in zip(fast(x), backbone(x), strict=True):
            assert_equal(got, wanted)
    assert fast.feature_info == backbone.feature_info


@pytest.mark.parametrize('depths', [(1, 1, 1), (2, 3, 2), (5, 11, 6)])
def test_supports_any_depth(depths):
    backbone = trained(widen_factor=0.5, out_indices=(1, 2, 3))
    for name, depth in zip(('stage2', 'stage3', 'stage4'), depths):
        units = list(getattr(backbone, name))
        while len(units) < depth:
            units.append(copy.deepcopy(units[-1]))
            nn.init.normal_(units[-1].branch2[0].weight, std=0.2)
        setattr(backbone, name, nn.Sequential(*units[:depth]))
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for got, wanted in zip(shuffle_free(backbone)(x), backbone(x), strict=True):
            assert_equal(got, wanted)


def test_supports_the_deep_network():
    backbone = trained(depth=50, stage_channels=(8, 16, 32, 64), out_indices=(0, 1, 2, 3, 4, 5))
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for got, wanted in zip(shuffle_free(backbone)(x), backbone(x), strict=True):
            assert_equal(got, wanted)


def test_backbone_is_not_changed():
    backbone = trained(widen_factor=0.5)
    before = copy.deepcopy(backbone.state_dict())
    shuffle_free(backbone)
    assert all(torch.equal(tensor, before[key]) for key, tensor in backbone.state_dict().items())
    assert all(parameter.requires_grad for parameter in backbone.parameters())


def copied_bytes(module, x):
    """Number of elements that ``cat`` and shuffles write in a run of the module."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Count(TorchDispatchMode):
        total = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if func.overloadpacket in (
                torch.ops.aten.cat,
                torch.ops.aten.clone,
                torch.ops.aten.copy_,
                torch.ops.aten.index_select,
                torch.ops.aten.index,
                torch.ops.aten._unsafe_view,
            ):
                Count.total += out.numel() * out.element_size()
            return out

    with torch.no_grad(), Count():
        module(x)
    return Count.total


def test_removes_more_than_half_of_the_copies():
    backbone = trained()
    x = torch.randn(1, 3, 64, 64)
    assert copied_bytes(shuffle_free(backbone, restore_order=False), x) < 0.5 * copied_bytes(backbone, x)


@functools.cache
def built(name):
    register_all_modules(init_default_scope=True)
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    cfg.model.backbone.init_cfg = None
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.backbone = trained(
        **{
            key: value
            for key, value in cfg.model.backbone.items()
            if key not in ('type', 'init_cfg', 'frozen_stages', 'norm_eval')
        }
    )
    return model.eval()


def detector(name):
    return copy.deepcopy(built(name))


@pytest.mark.parametrize('name', ['faster_rcnn_snv2', 'retinanet_snv2', 'nanodet_m_snv2', 'nanodet_plus_m_snv2'])
@pytest.mark.parametrize('block', [1, 16])
def test_neck_absorbs_the_order_and_features_match(name, block):
    model = detector(name)
    fast = shuffle_free_detector(model, block=block)
    assert any(order is not None for order in fast.backbone.orders)
    x = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        for got, wanted in zip(fast.extract_feat(x), model.extract_feat(x), strict=True):
            assert_equal(got, wanted)


@pytest.mark.parametrize('block', [1, 16])
@pytest.mark.parametrize('kwargs', [dict(), dict(with_residual=True), dict(act_cfg=dict(type='Sigmoid'))])
def test_orders_list_the_original_channels(kwargs, block):
    backbone = trained(widen_factor=0.5, **kwargs)
    fast = shuffle_free(backbone, block=block, restore_order=False)
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for got, wanted, order in zip(fast(x), backbone(x), fast.orders, strict=True):
            order = order or list(range(wanted.shape[1]))
            assert got.shape[1] == len(order)
            assert_equal(got[:, [order.index(channel) for channel in range(wanted.shape[1])]], wanted)


def replaced(name, make, **kwargs):
    """A backbone with another layer at ``name``."""
    backbone = trained(widen_factor=0.5, **kwargs)
    parent, _, child = name.rpartition('.')
    parent = backbone.get_submodule(parent)
    setattr(parent, child, make(getattr(parent, child)))
    return backbone.eval()


def like(conv, **kwargs):
    """A copy of a convolution with some arguments changed."""
    arguments = {
        key: getattr(conv, key)
        for key in (
            'in_channels',
            'out_channels',
            'kernel_size',
            'stride',
            'padding',
            'dilation',
            'groups',
            'padding_mode',
        )
    }
    return nn.Conv2d(**arguments | dict(bias=conv.bias is not None) | kwargs)


@pytest.mark.parametrize(
    ('name', 'change'),
    [
        ('conv1.0', dict(bias=True)),
        ('conv1.0', dict(padding_mode='circular')),
        ('conv1.0', dict(kernel_size=5)),
        ('stage2.1.branch2.3', dict(padding='same')),
        ('stage2.1.branch2.3', dict(kernel_size=(5, 3), padding=(2, 1))),
        ('stage3.0.branch1.0', dict(bias=True, padding_mode='replicate')),
        ('stage3.2.branch2.3', dict(dilation=2, padding=2, padding_mode='reflect')),
        ('stage2.0.branch2.5', dict(bias=True)),
        ('stage2.0.branch2.0', dict(kernel_size=3, padding=1)),
    ],
)
def test_properties_of_a_convolution_are_kept(name, change):
    torch.manual_seed(0)
    backbone = replaced(name, lambda conv: like(conv, **change))
    x = torch.randn(1, 3, 75, 101)
    with torch.no_grad():
        for got, wanted in zip(shuffle_free(backbone)(x), backbone(x), strict=True):
            assert_equal(got, wanted)


class Doubled(nn.Conv2d):
    def forward(self, x):
        return 2 * super().forward(x)


class OtherUnit(BasicUnit):
    def forward(self, x):
        return 2 * super().forward(x)


class OtherNorm(nn.BatchNorm2d):
    def forward(self, x):
        return 2 * super().forward(x)


class OtherActivation(nn.ReLU):
    def forward(self, x):
        return super().forward(x.flip(1))


def grown(branch):
    branch.append(nn.Conv2d(24, 24, 1))
    return branch


def unit_like(unit):
    unit.__class__ = OtherUnit
    return unit


def norm_like(norm):
    norm.__class__ = OtherNorm
    return norm


def doubled(conv):
    conv.__class__ = Doubled
    return conv


def hooked(module):
    module.register_forward_hook(lambda module, args, out: 2 * out)
    return module


@pytest.mark.parametrize(
    ('name', 'make', 'words'),
    [
        ('stage2.1.branch2.3', doubled, 'Doubled'),
        ('stage2.1.branch2.5', lambda conv: nn.utils.parametrizations.weight_norm(conv), 'ParametrizedConv2d'),
        ('stage2.1.branch2.5', lambda conv: nn.utils.parametrizations.spectral_norm(conv), 'ParametrizedConv2d'),
        ('stage2.1.branch2.5', lambda conv: nn.utils.spectral_norm(conv), 'hook at stage2.1.branch2.5'),
        ('conv1.0', hooked, 'hook at conv1.0'),
        ('stage3.1', hooked, 'hook at stage3.1'),
        ('stage3', hooked, 'hook at stage3'),
        ('stage2.1.branch2.0', lambda conv: like(conv, groups=2), 'groups=2'),
        ('stage2.1.branch2.3', lambda conv: like(conv, groups=1), 'groups=1'),
        ('stage2.1.branch2.1', norm_like, 'do not match'),
        ('stage2.1.branch2.7', lambda act: OtherActivation(), 'do not match'),
        ('stage2.1', unit_like, 'do not match'),
        ('stage2.1.branch2', grown, 'do not match'),
        ('stage2.0.branch1', grown, 'layers that ShuffleNetV2 does not build'),
        (
            'stage3',
            lambda stage: nn.Sequential(*stage, nn.Conv2d(96, 96, 1)),
            'layers that ShuffleNetV2 does not build',
        ),
    ],
)
def test_rejects_layers_that_cannot_be_kept(name, make, words):
    torch.manual_seed(0)
    with pytest.raises(UserError, match=words):
        shuffle_free(replaced(name, make))


@pytest.mark.filterwarnings('ignore::FutureWarning')
@pytest.mark.parametrize(
    'make',
    [
        doubled,
        nn.utils.parametrizations.weight_norm,
        nn.utils.spectral_norm,
        lambda conv: like(conv, groups=2),
        lambda conv: like(conv, kernel_size=3, padding=1, padding_mode='circular'),
    ],
)
def test_neck_with_special_convolutions_gives_the_same_features(make):
    model = detector('nanodet_m_snv2')
    for lateral in model.neck.lateral_convs:
        lateral.conv = make(lateral.conv)
    model.eval()
    x = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        for got, wanted in zip(shuffle_free_detector(model).extract_feat(x), model.extract_feat(x), strict=True):
            assert_equal(got, wanted)


def stage_in_training(backbone):
    backbone.stage3.train()
    return backbone


@pytest.mark.parametrize(
    ('make', 'words'),
    [
        (lambda: ShuffleNetV2(widen_factor=0.5), ['training mode', 'backbone.eval()']),
        (
            lambda: stage_in_training(ShuffleNetV2(widen_factor=0.5).eval()),
            ['training mode at stage3.0.', 'backbone.eval()'],
        ),
        (lambda: ShuffleNetV2(widen_factor=0.5).eval().to('meta'), ['meta']),
        (
            lambda: ShuffleNetV2(widen_factor=0.5, norm_cfg=dict(type='GN', num_groups=2)).eval(),
            ['GroupNorm', 'SyncBN'],
        ),
        (
            lambda: ShuffleNetV2(widen_factor=0.5, act_cfg=dict(type='PReLU', num_parameters=1)).eval(),
            ['PReLU', 'ReLU6'],
        ),
        (lambda: ShuffleNetV2(widen_factor=0.5, conv_cfg=dict(type='ConvWS')).eval(), ['ConvWS', 'Conv2d']),
        (lambda: nn.Conv2d(3, 4, 1).eval(), ['expects a ShuffleNetV2', 'Conv2d']),
    ],
)
def test_rejects_what_cannot_be_shuffle_free(make, words):
    with pytest.raises(UserError) as error:
        shuffle_free(make())
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize('block', [0, -8, 1.5])
def test_rejects_invalid_block(block):
    with pytest.raises(UserError, match='block='):
        shuffle_free(trained(widen_factor=0.5), block=block)
