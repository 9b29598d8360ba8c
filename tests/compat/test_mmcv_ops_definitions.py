"""Operators that compiled mmcv has only for GPUs, so they could not be recorded on a CPU: compared with their
definitions as loops or with PyTorch."""

import math

import pytest
import torch
from op_cases import boxes, random, rois
from torch.nn import functional as F

from mmdet_shufflenetv2 import compat

pytestmark = pytest.mark.skipif(not compat.ops_are_served(), reason='a compiled mmcv is installed')


def roi_pool_by_loops(x, regions, size, scale):
    """mmcv's kernel (roi_pool_cuda_kernel.cuh), cell by cell."""
    height, width = x.shape[2:]
    out = torch.zeros(len(regions), x.size(1), *size, dtype=x.dtype)
    for k, (image, x1, y1, x2, y2) in enumerate(regions.tolist()):
        x1, y1, x2, y2 = x1 * scale, y1 * scale, (x2 + 1) * scale, (y2 + 1) * scale
        if x2 <= x1 or y2 <= y1:
            continue
        for i in range(size[0]):
            for j in range(size[1]):
                top = max(math.floor(i * (y2 - y1) / size[0] + y1), 0)
                left = max(math.floor(j * (x2 - x1) / size[1] + x1), 0)
                bottom = min(math.ceil((i + 1) * (y2 - y1) / size[0] + y1), height)
                right = min(math.ceil((j + 1) * (x2 - x1) / size[1] + x1), width)
                if bottom > top and right > left:
                    out[k, :, i, j] = x[int(image), :, top:bottom, left:right].flatten(1).amax(dim=1)
    return out


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (7, 7)])
def test_roi_pool_and_its_gradient_equal_mmcvs_kernel(size):
    from mmcv.ops import roi_pool

    x = random(2, 3, 12, 14).double().requires_grad_()
    regions = torch.cat((rois(12, 2), torch.tensor([[0, 5.0, 5, 2, 2], [1, 900.0, 900, 950, 950]]))).double()
    out = roi_pool(x, regions, size, 0.2)
    expected = roi_pool_by_loops(x, regions, size, 0.2)
    torch.testing.assert_close(out, expected)
    grad = random(*out.shape, seed=9).double()
    torch.testing.assert_close(*(torch.autograd.grad(y, x, grad)[0] for y in (out, expected)))


@pytest.mark.parametrize('reduction', ['none', 'mean', 'sum'])
@pytest.mark.parametrize('weighted', [False, True])
def test_softmax_focal_loss_equals_weighted_cross_entropy(reduction, weighted):
    from mmcv.ops import softmax_focal_loss

    logits, target = random(30, 5, low=-3, high=3).double().requires_grad_(), torch.arange(30) % 5
    weight = random(5, seed=3).double() if weighted else None
    ours = softmax_focal_loss(logits, target, 2.0, 0.25, weight, reduction)
    entropy = F.cross_entropy(logits, target, reduction='none')
    expected = 0.25 * (1 - (-entropy).exp()) ** 2 * entropy * (1 if weight is None else weight[target])
    expected = dict(none=lambda t: t, mean=torch.mean, sum=torch.sum)[reduction](expected)
    torch.testing.assert_close(ours, expected)
    if reduction != 'none':  # otherwise mmcv's Python side multiplies (N, C) gradients by (N,) ones
        torch.testing.assert_close(*(torch.autograd.grad(y, logits)[0] for y in (ours, expected)))


def carafe_by_loops(features, masks, kernel, groups, scale):
    n, c, h, w = features.shape
    out = torch.zeros(n, c, h * scale, w * scale, dtype=features.dtype)
    padded = F.pad(features, [kernel // 2] * 4)
    for channel in range(c):
        group = channel // (c // groups)
        for y in range(h * scale):
            for x in range(w * scale):
                weights = masks[:, group * kernel**2 : (group + 1) * kernel**2, y, x]
                top, left = y // scale, x // scale
                cells = padded[:, channel, top : top + kernel, left : left + kernel].flatten(1)
                out[:, channel, y, x] = (cells * weights).sum(dim=1)
    return out


@pytest.mark.parametrize(('kernel', 'groups', 'scale'), [(3, 1, 2), (5, 2, 2), (3, 4, 3)])
def test_carafe_and_its_gradient_equal_the_definition(kernel, groups, scale):
    from mmcv.ops import carafe

    features = random(2, 4, 3, 5).double().requires_grad_()
    masks = random(2, groups * kernel**2, 3 * scale, 5 * scale, seed=1).double().requires_grad_()
    out = carafe(features, masks, kernel, groups, scale)
    torch.testing.assert_close(out, carafe_by_loops(features, masks, kernel, groups, scale))
    assert torch.autograd.gradcheck(lambda f, m: carafe(f, m, kernel, groups, scale), (features, masks), fast_mode=True)


def test_carafe_naive_forward_equals_carafe():
    from mmcv.ops import carafe
    from mmcv.ops.carafe import carafe_naive

    features, masks = random(1, 4, 3, 3), random(1, 9, 6, 6, seed=1)
    assert torch.equal(carafe_naive(features, masks, 3, 1, 2), carafe(features, masks, 3, 1, 2))


@pytest.mark.parametrize(('kernel', 'padding'), [(1, 0), (3, 1), ((1, 3), (0, 1))])
def test_masked_conv_equals_a_convolution_times_the_mask(kernel, padding):
    from mmcv.ops import MaskedConv2d

    conv = MaskedConv2d(4, 6, kernel, padding=padding)
    x = random(1, 4, 7, 9)
    full = F.conv2d(x, conv.weight, conv.bias, padding=padding)
    mask = (random(1, *full.shape[2:], seed=3) > 0.5).float()
    torch.testing.assert_close(conv(x, mask), full * mask[:, None])
    assert conv(x, torch.zeros_like(mask)).abs().sum() == 0


def attention_by_grid_sample(value, shapes, locations, weights):
    n, _, heads, channels = value.shape
    out = torch.zeros(n, locations.size(1), heads, channels, dtype=value.dtype)
    for level, part in enumerate(value.split([h * w for h, w in shapes.tolist()], dim=1)):
        h, w = shapes[level].tolist()
        for head in range(heads):
            plane = part[:, :, head].transpose(1, 2).reshape(n, channels, h, w)
            grid = 2 * locations[:, :, head, level] - 1
            sampled = F.grid_sample(plane, grid, align_corners=False)  # (n, channels, queries, points)
            out[:, :, head] += (sampled * weights[:, None, :, head, level]).sum(dim=3).transpose(1, 2)
    return out.flatten(2)


def test_deformable_attention_and_its_gradients_equal_sums_of_grid_samples():
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

    shapes = torch.tensor([[4, 5], [2, 3]])
    value = random(2, 26, 2, 3).double().requires_grad_()
    locations = random(2, 7, 2, 2, 3, 2, seed=1, low=-0.1, high=1.1).double().requires_grad_()
    weights = random(2, 7, 2, 2, 3, seed=2).double().requires_grad_()
    out = MultiScaleDeformableAttnFunction.apply(value, shapes, torch.tensor([0, 20]), locations, weights, 64)
    expected = attention_by_grid_sample(value, shapes, locations, weights)
    torch.testing.assert_close(out, expected)
    grad = random(*out.shape, seed=5).double()
    inputs = (value, locations, weights)
    for ours, theirs in zip(
        torch.autograd.grad(out, inputs, grad), torch.autograd.grad(expected, inputs, grad), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_bbox_overlaps_equals_torchvision():
    import mmcv._ext
    from torchvision.ops import box_iou

    ious = torch.zeros(9, 7)
    mmcv._ext.bbox_overlaps(boxes(9), boxes(7, seed=4), ious, mode=0, aligned=False, offset=0)
    torch.testing.assert_close(ious, box_iou(boxes(9), boxes(7, seed=4)))


@pytest.mark.parametrize('version', [1, 2])
def test_gradients_of_deformable_convolution_match_its_output(version):
    from mmcv.ops import deform_conv2d, modulated_deform_conv2d

    x, weight = (t.double().requires_grad_() for t in (random(2, 4, 4, 5), random(2, 2, 3, 3, seed=1)))
    # Not at cell centers, where bilinear interpolation is not differentiable.
    offset = (random(2, 36, 4, 5, seed=2) * 0.4 + 0.3).double().requires_grad_()
    mask, bias = (t.double().requires_grad_() for t in (random(2, 18, 4, 5, seed=3), random(2, seed=4)))
    if version == 1:
        assert torch.autograd.gradcheck(lambda *t: deform_conv2d(*t, 1, 1, 1, 2, 2), (x, offset, weight))
    else:
        assert torch.autograd.gradcheck(
            lambda *t: modulated_deform_conv2d(*t, 1, 1, 1, 2, 2), (x, offset, mask, weight, bias)
        )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_deformable_convolution_in_half_precision_equals_rounded_float32(dtype):
    from mmcv.ops import deform_conv2d

    x, offset, weight = (t.to(dtype) for t in (random(1, 2, 5, 5), random(1, 18, 5, 5, seed=1), random(3, 2, 3, 3)))
    out = deform_conv2d(x, offset, weight, 1, 1)
    assert out.dtype == dtype
    assert torch.equal(out, deform_conv2d(x.float(), offset.float(), weight.float(), 1, 1).to(dtype))


@pytest.mark.parametrize('angle', [0.0, math.pi / 2, -math.pi])
def test_rotated_overlap_of_axis_aligned_boxes_equals_torchvision(angle):
    from mmcv.ops import box_iou_rotated
    from torchvision.ops import box_iou

    corners = boxes(30)
    center, size = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    rotated_size = size.flip(1) if angle == math.pi / 2 else size
    rotated = torch.cat((center, rotated_size, torch.full((30, 1), angle)), dim=1)
    torch.testing.assert_close(box_iou_rotated(rotated, rotated), box_iou(corners, corners), rtol=1e-4, atol=1e-5)


def test_rotated_overlap_of_identical_and_of_distant_boxes():
    from mmcv.ops import box_iou_rotated

    box = torch.tensor(
        [[1e4, 1e4, 30, 10, 0.3], [1e4, 1e4, 10, 30, 0.3 + math.pi / 2], [0, 0, 3, 3, 1], [0, 0, 0, 0, 0]]
    )
    expected = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0.0]])
    torch.testing.assert_close(box_iou_rotated(box, box), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ('call', 'words'),
    [
        (lambda e: e.nms(boxes(3), random(3), iou_threshold=1.5, offset=0), 'iou_threshold=1.5'),
        (lambda e: e.nms(boxes(3), random(3), iou_threshold=-0.1, offset=0), 'iou_threshold=-0.1'),
        (lambda e: e.nms(boxes(3).long(), random(3), iou_threshold=0.5, offset=0), 'boxes is torch.int64'),
        (lambda e: e.nms(boxes(3), random(3).long(), iou_threshold=0.5, offset=0), 'scores is torch.int64'),
        (lambda e: e.nms(boxes(3), random(4), iou_threshold=0.5, offset=0), r'scores .*\(4,\).*\(3,\)'),
        (lambda e: e.nms(random(3, 5), random(3), iou_threshold=0.5, offset=0), r'boxes .*\(3, 5\).*\(N, 4\)'),
        (lambda e: e.nms(boxes(3), random(3).to('meta'), iou_threshold=0.5, offset=0), 'scores .*meta, boxes .*cpu'),
        (lambda e: e.nms_match(boxes(3), iou_threshold=0.5), r'dets .*\(3, 4\).*\(N, 5\)'),
        (
            lambda e: e.roi_align_forward(random(1, 2, 5, 5), boxes(3), None, None, None, 2, 2, 1.0, 0, 1, True),
            r'rois .*\(3, 4\).*\(N, 5\)',
        ),
        (
            lambda e: e.roi_pool_forward(random(1, 2, 5, 5), boxes(3), None, None, 2, 2, 1.0),
            r'rois .*\(3, 4\).*\(N, 5\)',
        ),
        (lambda e: e.box_iou_rotated(boxes(3), boxes(3), None, 0, False), r'boxes1 .*\(3, 4\).*\(N, 5\)'),
    ],
)
def test_invalid_arguments_are_reported_before_a_kernel_runs(call, words):
    import mmcv._ext

    with pytest.raises(ValueError, match=words):
        call(mmcv._ext)


@pytest.mark.parametrize('count', [0, 1])
def test_empty_and_single_inputs_work(count):
    from mmcv.ops import box_iou_rotated, nms_rotated, roi_pool

    rotated = torch.cat((boxes(count), torch.zeros(count, 1)), dim=1)
    assert box_iou_rotated(rotated, rotated[:0]).shape == (count, 0)
    assert len(nms_rotated(rotated, random(count), 0.5)[0] if count else []) == count
    assert roi_pool(random(1, 2, 5, 5), rois(count, 1), 3, 0.5).shape == (count, 2, 3, 3)
