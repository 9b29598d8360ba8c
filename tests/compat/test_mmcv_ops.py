"""mmcv's operators against compiled mmcv, torchvision and their definitions."""

import pytest
import torch
from conftest import DEVICES
from op_cases import RECORDED, boxes, cases, random, rois

from mmdet_shufflenetv2 import compat

pytestmark = pytest.mark.skipif(not compat.ops_are_served(), reason='a compiled mmcv is installed')

COMPILED = torch.load(RECORDED, weights_only=True)
# Positions and weights of their samples have rounding errors.
SAMPLED = ('roi_align_rotated', 'bezier_align', 'rotated_feature_align')
SERVED = (
    'nms ',
    'nms_match',
    'batched_nms',
    'soft_nms',
    'roi_align',
    'deform_conv2d',
    'modulated_deform_conv2d',
    'box_iou_rotated',
    'nms_rotated',
    *SAMPLED,
    'box_iou_quadri',
    'nms_quadri',
    'points_in_boxes_cpu',
    'voxelization',
    'active_rotated_filter',
    'psa_mask',
    'contour_expand',
    'pixel_group',
)
CASES = {name: case for name, case in cases() if name.startswith(SERVED)}


@pytest.mark.parametrize('name', CASES)
def test_outputs_and_gradients_equal_compiled_mmcv(name):
    ours, compiled = CASES[name](), COMPILED[name]
    assert ours.keys() == compiled.keys()
    for key, expected in compiled.items():
        assert ours[key].dtype == expected.dtype
        if expected.dtype.is_floating_point:
            tolerance = 1e-5 if name.startswith(SAMPLED) else 1e-6
            torch.testing.assert_close(ours[key], expected, rtol=tolerance, atol=tolerance)
        else:
            assert torch.equal(ours[key], expected), key


def test_every_operator_was_recorded():
    assert all(any(name.startswith(start) for name in COMPILED) for start in SERVED)


def focal_loss(logits, target, weight, gamma, alpha):
    """Equation 5 of the paper, from log-sigmoids and one-hot targets."""
    positive = torch.nn.functional.one_hot(target, logits.size(1) + 1)[:, :-1].to(logits)
    p = logits.sigmoid()
    log_p, log_not_p = torch.nn.functional.logsigmoid(logits), torch.nn.functional.logsigmoid(-logits)
    loss = -(positive * alpha * (1 - p) ** gamma * log_p + (1 - positive) * (1 - alpha) * p**gamma * log_not_p)
    if weight is not None:
        loss = loss * torch.cat((weight, weight.new_ones(1)))[target][:, None]
    return loss


@pytest.mark.parametrize('gamma', [0.5, 2.0])
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('reduction', ['none', 'sum', 'mean'])
def test_sigmoid_focal_loss_equals_the_paper(gamma, weighted, reduction):
    from mmcv.ops import sigmoid_focal_loss

    logits = random(40, 7, low=-6, high=6).double().requires_grad_()
    target = torch.arange(40) % 8  # 7 is background
    weight = random(7, seed=3).double() if weighted else None
    ours = sigmoid_focal_loss(logits, target, gamma, 0.25, weight, reduction)
    expected = focal_loss(logits, target, weight, gamma, 0.25)
    expected = {'none': lambda x: x, 'sum': torch.sum, 'mean': lambda x: x.sum() / 40}[reduction](expected)
    torch.testing.assert_close(ours, expected)
    (grad,) = torch.autograd.grad(ours.sum(), logits, retain_graph=True)
    (expected_grad,) = torch.autograd.grad(expected.sum(), logits)
    torch.testing.assert_close(grad, expected_grad)


def test_sigmoid_focal_loss_stays_finite_at_extreme_logits():
    from mmcv.ops import sigmoid_focal_loss

    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([1, 1]), 2.0, 0.25)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize('aligned', [False, True])
def test_gradients_of_roi_align_match_its_output(aligned):
    from mmcv.ops import roi_align

    x = random(2, 2, 6, 7).double().requires_grad_()
    regions = rois(4, 2).double()
    assert torch.autograd.gradcheck(lambda t: roi_align(t, regions, (2, 3), 0.1, 2, 'avg', aligned), x)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_on_the_cpu_equals_rounded_float32(dtype):
    from mmcv.ops import nms, roi_align

    x, regions = random(1, 3, 12, 12).to(dtype), torch.tensor([[0, 4.0, 4.0, 40.0, 36.0]], dtype=dtype)
    out = roi_align(x, regions, 3, 0.25, 2, 'avg', True)
    assert out.dtype == dtype
    assert torch.equal(out, roi_align(x.float(), regions.float(), 3, 0.25, 2, 'avg', True).to(dtype))
    candidates, scores = boxes(50).to(dtype), random(50, seed=1).to(dtype)
    assert torch.equal(nms(candidates, scores, 0.5)[1], nms(candidates.float(), scores.float(), 0.5)[1])


def test_operators_work_under_autocast():
    from mmcv.ops import batched_nms, roi_align

    x = random(1, 3, 12, 12).requires_grad_()
    weight = random(4, 3, 1, 1, seed=2)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        features = torch.nn.functional.conv2d(x, weight)
        assert features.dtype == torch.bfloat16
        pooled = roi_align(features, rois(5, 1).to(features.dtype), 3, 0.25, 2, 'avg', True)
        kept, _ = batched_nms(boxes(30), random(30, seed=1), torch.zeros(30), dict(type='nms', iou_threshold=0.5))
    pooled.float().mean().backward()
    assert x.grad.abs().sum() > 0
    assert len(kept)


def test_inputs_can_be_non_contiguous():
    from mmcv.ops import nms, roi_align

    candidates = random(50, 8)[:, ::2].cumsum(dim=1) * 50
    scores = random(100, seed=1)[::2]
    assert torch.equal(nms(candidates, scores, 0.5)[1], nms(candidates.contiguous(), scores.contiguous(), 0.5)[1])
    x = random(1, 3, 12, 14).transpose(2, 3)
    torch.testing.assert_close(roi_align(x, rois(5, 1), 3), roi_align(x.contiguous(), rois(5, 1), 3))


@pytest.mark.parametrize('device', DEVICES)
def test_operators_run_on(device):
    from mmcv.ops import nms, roi_align, sigmoid_focal_loss

    kept = nms(boxes(100).to(device), random(100, seed=1).to(device), 0.5)[1]
    assert torch.equal(kept.cpu(), nms(boxes(100), random(100, seed=1), 0.5)[1])
    x = random(2, 3, 12, 12).to(device).requires_grad_()
    out = roi_align(x, rois(6, 2).to(device), 3, 0.25)
    torch.testing.assert_close(out.cpu(), roi_align(x.cpu(), rois(6, 2), 3, 0.25), rtol=1e-5, atol=1e-5)
    out.sum().backward()
    logits, target = random(6, 4).to(device), torch.arange(6).to(device) % 5
    assert sigmoid_focal_loss(logits, target).isfinite()


def test_an_unsupported_operator_raises_only_when_it_is_called():
    import mmcv._ext

    op = mmcv._ext.border_align_forward
    with pytest.raises(NotImplementedError, match=r'border_align_forward.*pip install'):
        op()
