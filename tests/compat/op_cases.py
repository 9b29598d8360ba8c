"""Calls of mmcv's public operators on seeded inputs.

The results of compiled mmcv 2.1.0 on a CPU are in ``tests/data/mmcv_ops.pt``. Tests compare this package's operators
with them. To record them again, with compiled mmcv and this folder on the path:

    python tests/compat/op_cases.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

RECORDED = Path(__file__).parent.parent / 'data' / 'mmcv_ops.pt'

Case = Callable[[], dict[str, Tensor]]


def random(*shape: int, seed: int = 0, low: float = 0.0, high: float = 1.0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * (high - low) + low


def boxes(count: int, seed: int = 0, size: float = 100.0) -> Tensor:
    """``(count, 4)`` corners in a small image, so that many boxes overlap."""
    corner = random(count, 2, seed=seed, high=size)
    return torch.cat((corner, corner + random(count, 2, seed=seed + 1, low=1, high=size / 2)), dim=1)


def rois(count: int, images: int, seed: int = 0) -> Tensor:
    index = torch.arange(count).remainder(images)[:, None].float()
    return torch.cat((index, boxes(count, seed, size=60.0) - 5), dim=1)


def leaf(*shape: int, seed: int = 0) -> Tensor:
    return random(*shape, seed=seed, low=-1).requires_grad_()


def with_gradients(out: Tensor, seed: int = 99, **inputs: Tensor) -> dict[str, Tensor]:
    """The output, and the gradient of each input for a fixed gradient of the output."""
    out.backward(random(*out.shape, seed=seed, low=-1))
    return {'out': out.detach(), **{f'grad_{name}': tensor.grad for name, tensor in inputs.items()}}


def cases(through: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda op: op) -> Iterator[tuple[str, Case]]:
    """Names and calls; ``through`` wraps each operator, such as one that computes on another device."""
    import mmcv.ops

    class Ops:
        def __getattr__(self, name: str) -> Callable[..., Any]:
            return through(getattr(mmcv.ops, name))

    ops = Ops()
    nms, batched_nms, nms_match, soft_nms = ops.nms, ops.batched_nms, ops.nms_match, ops.soft_nms

    def named(name: str, *outs: Tensor) -> dict[str, Tensor]:
        return {f'{name}{i}': out for i, out in enumerate(outs)}

    for count in (0, 1, 300):
        for threshold in (0.3, 0.7):
            for offset in (0, 1):
                yield (
                    f'nms {count} {threshold} {offset}',
                    lambda c=count, t=threshold, o=offset: named('out', *nms(boxes(c), random(c, seed=5), t, offset=o)),
                )
    yield (
        'nms score_threshold max_num',
        lambda: named('out', *nms(boxes(200), random(200, seed=5), 0.5, score_threshold=0.4, max_num=20)),
    )
    for agnostic in (False, True):
        yield (
            f'batched_nms agnostic={agnostic}',
            lambda a=agnostic: named(
                'out',
                *batched_nms(
                    boxes(400),
                    random(400, seed=5),
                    torch.arange(400) % 7,
                    dict(type='nms', iou_threshold=0.5),
                    class_agnostic=a,
                ),
            ),
        )
    yield (
        'batched_nms split',
        lambda: named(
            'out',
            *batched_nms(
                boxes(400),
                random(400, seed=5),
                torch.arange(400) % 7,
                dict(type='nms', iou_threshold=0.5, split_thr=100, max_num=50),
            ),
        ),
    )
    for method in ('naive', 'linear', 'gaussian'):
        for offset in (0, 1):
            yield (
                f'soft_nms {method} {offset}',
                lambda m=method, o=offset: named(
                    'out',
                    *soft_nms(boxes(120), random(120, seed=5), 0.3, sigma=0.4, min_score=0.05, method=m, offset=o),
                ),
            )
        # Scores in steps of 0.2: the order of equal scores depends on earlier swaps.
        yield (
            f'soft_nms {method} ties',
            lambda m=method: named(
                'out', *soft_nms(boxes(60), (random(60, seed=5) * 5).ceil() / 5, 0.3, min_score=0.15, method=m)
            ),
        )
    yield (
        'nms_match',
        lambda: {
            f'group{i}': group
            for i, group in enumerate(nms_match(torch.cat((boxes(80), random(80, 1, seed=5)), dim=1), 0.4))
        },
    )

    def roi_align(aligned: bool, ratio: int, mode: str, count: int) -> dict[str, Tensor]:
        x = leaf(2, 3, 16, 20)
        out = ops.roi_align(x, rois(count, 2), (4, 3), 0.25, ratio, mode, aligned)
        return with_gradients(out, x=x)

    for aligned in (False, True):
        for ratio in (0, 2, 3):
            for mode in ('avg', 'max'):
                yield f'roi_align {mode} {ratio} {aligned}', lambda a=aligned, r=ratio, m=mode: roi_align(a, r, m, 30)
    yield 'roi_align avg no rois', lambda: roi_align(True, 2, 'avg', 0)

    def deform_conv(groups: int, deform_groups: int, stride: int, dilation: int, step: int) -> dict[str, Tensor]:
        x, weight = leaf(4, 4, 5, 7), leaf(6, 4 // groups, 3, 3, seed=1)
        height, width = ((n + 2 - dilation * 2 - 1) // stride + 1 for n in (5, 7))
        offset = (random(4, deform_groups * 18, height, width, seed=2, low=-2, high=2)).requires_grad_()
        out = ops.deform_conv2d(x, offset, weight, stride, 1, dilation, groups, deform_groups, False, step)
        return with_gradients(out, x=x, offset=offset, weight=weight)

    def modulated(groups: int, deform_groups: int, stride: int, dilation: int, bias: bool) -> dict[str, Tensor]:
        x, weight = leaf(3, 4, 5, 7), leaf(6, 4 // groups, 3, 3, seed=1)
        height, width = ((n + 2 - dilation * 2 - 1) // stride + 1 for n in (5, 7))
        offset = (random(3, deform_groups * 18, height, width, seed=2, low=-2, high=2)).requires_grad_()
        mask = random(3, deform_groups * 9, height, width, seed=3).requires_grad_()
        b = leaf(6, seed=4) if bias else None
        out = ops.modulated_deform_conv2d(x, offset, mask, weight, b, stride, 1, dilation, groups, deform_groups)
        inputs = dict(x=x, offset=offset, mask=mask, weight=weight) | ({'bias': b} if bias else {})
        return with_gradients(out, **inputs)

    for groups, deform_groups, stride, dilation in ((1, 1, 1, 1), (2, 1, 2, 1), (1, 4, 1, 2), (2, 2, 1, 1)):
        name = f'groups={groups} deform_groups={deform_groups} stride={stride} dilation={dilation}'
        for step in (1, 2, 32):
            yield (
                f'deform_conv2d {name} im2col_step={step}',
                lambda g=groups, d=deform_groups, s=stride, k=dilation, t=step: deform_conv(g, d, s, k, t),
            )
        for bias in (False, True):
            yield (
                f'modulated_deform_conv2d {name} bias={bias}',
                lambda g=groups, d=deform_groups, s=stride, k=dilation, b=bias: modulated(g, d, s, k, b),
            )

    def larger_maps() -> dict[str, Tensor]:
        # As in MMDetection's DyHead, offset and mask come from a level with larger maps.
        x, weight = leaf(2, 4, 3, 4), leaf(6, 4, 3, 3, seed=1)
        offset = random(2, 18, 6, 7, seed=2, low=-2, high=2).requires_grad_()
        mask = random(2, 9, 6, 7, seed=3).requires_grad_()
        out = ops.modulated_deform_conv2d(x, offset, mask, weight, None, 1, 1)
        return with_gradients(out, x=x, offset=offset, mask=mask, weight=weight)

    yield 'modulated_deform_conv2d larger maps', larger_maps

    def at_zero(modulated: bool) -> dict[str, Tensor]:
        # Initial offsets in training: with a padding of one cell the outermost samples are exactly at -1.
        x, weight, offset = leaf(2, 4, 5, 7), leaf(6, 4, 3, 3, seed=1), torch.zeros(2, 18, 5, 7, requires_grad=True)
        if not modulated:
            out = ops.deform_conv2d(x, offset, weight, 1, 1)
            return with_gradients(out, x=x, offset=offset, weight=weight)
        mask = random(2, 9, 5, 7, seed=3).requires_grad_()
        out = ops.modulated_deform_conv2d(x, offset, mask, weight, None, 1, 1)
        return with_gradients(out, x=x, offset=offset, mask=mask, weight=weight)

    yield 'deform_conv2d zero offsets', lambda: at_zero(False)
    yield 'modulated_deform_conv2d zero offsets', lambda: at_zero(True)

    def rotated(count: int, seed: int = 0) -> Tensor:
        center, size = random(count, 2, seed=seed, high=60), random(count, 2, seed=seed + 1, low=2, high=40)
        return torch.cat((center, size, random(count, 1, seed=seed + 2, low=-3.2, high=3.2)), dim=1)

    for mode in ('iou', 'iof'):
        for clockwise in (True, False):
            yield (
                f'box_iou_rotated {mode} {clockwise}',
                lambda m=mode, c=clockwise: named(
                    'out', ops.box_iou_rotated(rotated(25), rotated(20, seed=7), m, False, c)
                ),
            )
        yield (
            f'box_iou_rotated {mode} aligned',
            lambda m=mode: named('out', ops.box_iou_rotated(rotated(20), rotated(20, seed=7), m, True)),
        )
    for labels in (None, torch.arange(80) % 3):
        yield (
            f'nms_rotated labels={labels is not None}',
            lambda v=labels: named('out', *ops.nms_rotated(rotated(80), random(80, seed=5), 0.2, v)),
        )

    def roi_align_rotated(ratio: int, aligned: bool, clockwise: bool) -> dict[str, Tensor]:
        x, index = leaf(2, 3, 16, 20), (torch.arange(20) % 2)[:, None].float()
        out = ops.roi_align_rotated(x, torch.cat((index, rotated(20)), dim=1), (4, 3), 0.25, ratio, aligned, clockwise)
        return with_gradients(out, x=x)

    def bezier_align(ratio: int, aligned: bool) -> dict[str, Tensor]:
        x, index = leaf(2, 3, 16, 20), (torch.arange(12) % 2)[:, None].float()
        curves = random(12, 16, seed=1, low=-5, high=80)
        return with_gradients(ops.bezier_align(x, torch.cat((index, curves), dim=1), (4, 5), 0.25, ratio, aligned), x=x)

    for ratio in (0, 2):
        for aligned in (False, True):
            for clockwise in (False, True):
                yield (
                    f'roi_align_rotated {ratio} {aligned} {clockwise}',
                    lambda r=ratio, a=aligned, c=clockwise: roi_align_rotated(r, a, c),
                )
            yield f'bezier_align {ratio} {aligned}', lambda r=ratio, a=aligned: bezier_align(r, a)

    def feature_align(points: int) -> dict[str, Tensor]:
        x = leaf(2, 3, 6, 7)
        return with_gradients(ops.rotated_feature_align(x, rotated(84).view(2, 6, 7, 5), 0.1, points), x=x)

    for points in (1, 5):
        yield f'rotated_feature_align {points}', lambda p=points: feature_align(p)

    def corners(count: int, seed: int = 0) -> Tensor:
        x, y, w, h, angle = rotated(count, seed).T
        along = torch.stack((angle.cos(), angle.sin())) * w / 2
        across = torch.stack((-angle.sin(), angle.cos())) * h / 2
        signs = ((1, 1), (-1, 1), (-1, -1), (1, -1))
        return torch.cat([torch.stack((x, y)) + i * along + j * across for i, j in signs]).T.contiguous()

    for mode in ('iou', 'iof'):
        yield f'box_iou_quadri {mode}', lambda m=mode: named('out', ops.box_iou_quadri(corners(25), corners(20, 7), m))
    yield 'nms_quadri', lambda: named('out', *ops.nms_quadri(corners(80), random(80, seed=5), 0.2))

    def cloud(count: int, seed: int = 0) -> Tensor:
        return random(count, 3, seed=seed, low=-6, high=6)

    def boxes3d(count: int) -> Tensor:
        return torch.cat((cloud(count, 3), random(count, 4, seed=4, low=1, high=6)), dim=1)

    yield 'points_in_boxes_cpu', lambda: named('out', ops.points_in_boxes_cpu(cloud(300)[None], boxes3d(9)[None]))
    yield (
        'voxelization hard',
        lambda: named('out', *ops.voxelization(cloud(300), [2.0, 2.0, 1.5], [-4.0, -5.0, -3.0, 4.0, 5.0, 3.0], 3, 40)),
    )
    yield (
        'voxelization dynamic',
        lambda: named('out', ops.voxelization(cloud(300), [2.0, 2.0, 1.5], [-4.0, -5.0, -3.0, 4.0, 5.0, 3.0], -1, -1)),
    )

    def rotated_filter() -> dict[str, Tensor]:
        x = leaf(2, 3, 4, 3, 3)
        indices = torch.stack([torch.randperm(36, generator=torch.Generator().manual_seed(i)) for i in range(5)], dim=1)
        return with_gradients(ops.active_rotated_filter(x, (indices + 1).int().view(4, 3, 3, 5)), x=x)

    yield 'active_rotated_filter', rotated_filter

    def psa_mask(kind: str, size: tuple[int, int]) -> dict[str, Tensor]:
        x = leaf(2, size[0] * size[1], 4, 5)
        return with_gradients(ops.PSAMask(kind, size)(x), x=x)

    for kind in ('collect', 'distribute'):
        for size in ((3, 5), (7, 9)):
            yield f'psa_mask {kind} {size}', lambda k=kind, s=size: psa_mask(k, s)

    def text_maps() -> tuple[Tensor, Tensor]:
        """Labels of small kernels, and larger masks around them."""
        from scipy import ndimage

        smooth = torch.from_numpy(ndimage.gaussian_filter(random(24, 30, seed=8).numpy(), 1.5))
        masks = torch.stack([smooth > smooth.quantile(q) for q in (0.4, 0.6, 0.8)])
        return torch.from_numpy(ndimage.label(masks[-1])[0]).int(), masks

    def expand(area: int) -> dict[str, Tensor]:
        labels, masks = text_maps()
        return {'out': torch.tensor(ops.contour_expand(masks.byte(), labels, area, int(labels.max()) + 1))}

    for area in (0, 12):
        yield f'contour_expand {area}', lambda a=area: expand(a)

    def group() -> dict[str, Tensor]:
        labels, masks = text_maps()
        groups = ops.pixel_group(
            random(24, 30, seed=3),
            masks[0],
            random(24, 30, 4, seed=4),
            labels,
            masks[-1].byte(),
            int(labels.max()) + 1,
            0.8,
        )
        return {f'group{i}': torch.tensor(group) for i, group in enumerate(groups)}

    yield 'pixel_group', group


def record() -> None:
    import mmcv._ext  # the compiled one, as mmdet_shufflenetv2 is not imported

    outputs, skipped = {}, []
    for name, case in cases():
        try:
            outputs[name] = {key: tensor.clone() for key, tensor in case().items()}
        except RuntimeError as error:  # no CPU implementation
            skipped.append(f'{name}: {str(error).splitlines()[0]}')
    torch.save(outputs, RECORDED)
    print(f'{len(outputs)} cases from {mmcv._ext.__file__} -> {RECORDED} ({RECORDED.stat().st_size} bytes)')
    print('\n'.join(skipped))


if __name__ == '__main__':
    record()
