"""mmcv's operators on each device and in each precision, against float32 on the CPU and numerical gradients."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import DEVICES
from op_cases import cases, random, rois
from torch import Tensor, nn

from mmdet_shufflenetv2 import compat

pytestmark = pytest.mark.skipif(not compat.ops_are_served(), reason='a compiled mmcv is installed')

# Their inputs must be on the CPU. Rotated NMS uses labels on a GPU only, as compiled mmcv does.
ON_THE_CPU = ('points_in_boxes_cpu', 'contour_expand', 'pixel_group', 'nms_rotated labels=True')
# One case of each operator with a gradient, in float16 and bfloat16.
IN_HALF = (
    'roi_align avg 2 True',
    'roi_align max 2 True',
    'deform_conv2d groups=2 deform_groups=2 stride=1 dilation=1 im2col_step=32',
    'modulated_deform_conv2d groups=2 deform_groups=2 stride=1 dilation=1 bias=True',
    'roi_align_rotated 2 True False',
    'bezier_align 2 True',
    'rotated_feature_align 5',
    'active_rotated_filter',
    'psa_mask collect (3, 5)',
)


def through(device: str, dtype: torch.dtype, rounded_to: torch.dtype | None = None) -> Any:
    """Wrap operators: they compute on a device and in a dtype, from float32 on the CPU and to float32 on the CPU."""

    def there(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return value.to(rounded_to or dtype).to(device, dtype) if value.is_floating_point() else value.to(device)

    def back(value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return type(value)(map(back, value))
        if not isinstance(value, Tensor):
            return value
        assert not value.is_floating_point() or value.dtype == dtype
        return value.cpu().float() if value.is_floating_point() else value.cpu()

    def wrap(op: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            out = op(*map(there, args), **{name: there(value) for name, value in kwargs.items()})
            return wrap(out) if isinstance(out, nn.Module) else back(out)

        return call

    return wrap


@pytest.mark.gpu
@pytest.mark.parametrize('name', [name for name, _ in cases() if not name.startswith(ON_THE_CPU)])
def test_a_gpu_computes_what_the_cpu_does(name):
    expected, got = dict(cases())[name](), dict(cases(through('cuda', torch.float32)))[name]()
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(got[key], value, rtol=1e-4, atol=1e-4, msg=lambda text, key=key: f'{key}: {text}')


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=['fp16', 'bf16'])
@pytest.mark.parametrize('name', IN_HALF)
def test_half_precision_is_close_to_float32_of_the_same_inputs(name, dtype, device):
    expected = dict(cases(through('cpu', torch.float32, dtype)))[name]()
    got = dict(cases(through(device, dtype)))[name]()
    # Relative to the largest value of a tensor: sums of terms of either sign can be near zero.
    for key, value in expected.items():
        assert (got[key] - value).abs().max() <= 16 * torch.finfo(dtype).eps * value.abs().max(), key


def differentiable(device: str) -> dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]]:
    """Operators in float64, and the inputs that they are differentiated for."""
    from mmcv import ops

    def of(*shape: int, **limits: float) -> Tensor:
        return random(*shape, **limits).double().to(device)

    x, regions = of(2, 4, 5, 6), rois(3, 2).double().to(device)
    angled = torch.cat((regions, regions[:, :1] + 0.3), dim=1)
    curves = torch.cat((regions[:, :1], of(3, 16, seed=4, high=60)), dim=1)
    offset, mask, weight = of(2, 18, 5, 6, seed=2, low=-0.8, high=0.8), of(2, 9, 5, 6, seed=3), of(2, 4, 3, 3, seed=1)
    angles = of(2, 5, 6, 5, seed=5, high=40)
    target = torch.tensor([0, 2, 3], device=device)
    kernels = of(2, 9, 10, 12, seed=6)
    return {
        'roi_align': (lambda x: ops.roi_align(x, regions, (2, 3), 0.1, 2, 'avg', True), (x,)),
        'roi_pool': (lambda x: ops.roi_pool(x, regions, 2, 0.1), (x,)),
        'deform_conv2d': (lambda *inputs: ops.deform_conv2d(*inputs, 1, 1), (x, offset, weight)),
        'modulated_deform_conv2d': (
            lambda *inputs: ops.modulated_deform_conv2d(*inputs, None, 1, 1),
            (x, offset, mask, weight),
        ),
        'roi_align_rotated': (lambda x: ops.roi_align_rotated(x, angled, 2, 0.1, 0, True, True), (x,)),
        'riroi_align_rotated': (lambda x: ops.RiRoIAlignRotated((2, 2), 0.1, 2, 4, False)(x, angled), (x,)),
        'bezier_align': (lambda x: ops.bezier_align(x, curves, 2, 0.1, 2, True), (x,)),
        'rotated_feature_align': (lambda x: ops.rotated_feature_align(x, angles, 0.1, 5), (x,)),
        'sigmoid_focal_loss': (lambda x: ops.sigmoid_focal_loss(x, target, 2.0, 0.25), (of(3, 3, seed=8),)),
        'softmax_focal_loss': (lambda x: ops.softmax_focal_loss(x, target % 3, 2.0, 0.25), (of(3, 3, seed=8),)),
        'carafe': (lambda x, kernels: ops.carafe(x, kernels, 3, 1, 2), (x, kernels)),
        'psa_mask': (lambda x: ops.PSAMask('collect', (3, 3))(x), (of(1, 9, 4, 4),)),
    }


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('name', differentiable('cpu'))
def test_gradients_equal_differences_of_outputs(name, device):
    call, inputs = differentiable(device)[name]
    inputs = tuple(tensor.requires_grad_() for tensor in inputs)
    assert torch.autograd.gradcheck(call, inputs, fast_mode=True, nondet_tol=1e-9)  # a GPU adds in any order
