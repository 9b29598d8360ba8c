"""What is installed here, who serves mmcv's operators, and whether each of them runs: for a bug report."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

import torch
from torch import Tensor

__all__ = ['report']

#: What is called here -> the packages that provide it, the forks behind the originals.
_PACKAGES = {
    'torch': ('torch', ),
    'torchvision': ('torchvision', ),
    'mmcv': ('mmcv', 'mmcv-lite', 'onedl-mmcv'),
    'mmengine': ('mmengine', 'mmengine-lite', 'onedl-mmengine'),
    'mmdet': ('mmdet', 'onedl-mmdetection'),
    'numpy': ('numpy', ),
    'opencv': ('opencv-python', 'opencv-python-headless'),
    'pycocotools': ('pycocotools', ),
}

_TORCHVISION, _PYTORCH, _MMCV = 'torchvision', 'PyTorch', "mmcv's PyTorch form"


def report() -> str:
    """Versions, and a table of the operators with provider and state on the CPU and the GPU, in Markdown.

    Each operator is called once on small inputs; ``yes`` means that it ran and gave finite numbers.
    """
    from . import ops_are_served
    served = ops_are_served()
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    lines = [f'Python {platform.python_version()} on {platform.system()} {platform.machine()}, GPU: {gpu or "none"}',
             *(f'{name}: {_version_of(packages)}' for name, packages in _PACKAGES.items()),
             f'mmcv operators: {"served by mmdet_shufflenetv2" if served else "compiled"}', '',
             '| operator | provider | CPU | CUDA |', '| --- | --- | --- | --- |']
    for name, provider, call in _probes():
        states = [_state(call, 'cpu'), _state(call, 'cuda') if gpu else 'no GPU']
        lines.append(f'| {name} | {provider if served else "mmcv, compiled"} | {" | ".join(states)} |')
    return '\n'.join(lines)


def _version_of(packages: tuple[str, ...]) -> str:
    found = []
    for package in packages:
        try:
            found.append(f'{package} {version(package)}')
        except PackageNotFoundError:
            continue
    # Two of them (mmcv and mmcv-lite, say) overwrite each other's files: worth seeing in a bug report.
    return ' and '.join(found) or 'not installed'


def _state(call: Callable[[str], Tensor], device: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of PyTorch, about calls that mmcv makes: they work all the same
            return 'yes' if bool(call(device).isfinite().all()) else 'wrong numbers'
    except Exception as error:  # whatever a broken installation raises is what the reader wants to see
        return f'no: {str(error).splitlines()[0][:60] if str(error) else type(error).__name__}'


def _probes() -> Iterator[tuple[str, str, Callable[[str], Tensor]]]:
    """Operator, provider where this package serves it, and a call on a device; with gradients where there are any."""
    from mmcv import ops
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

    def boxes(device: str) -> Tensor:
        return torch.tensor([[0, 0, 4, 4], [1, 1, 5, 5], [6, 6, 8, 8.]], device=device)

    def rotated(device: str) -> Tensor:
        return torch.cat((boxes(device) + 1, boxes(device)[:, :1] / 9), dim=1)

    def scores(device: str) -> Tensor:
        return torch.tensor([0.9, 0.8, 0.7], device=device)

    def rois(device: str) -> Tensor:
        return torch.cat((torch.zeros(3, 1, device=device), boxes(device)), dim=1)

    def gradient(function: Callable[..., Tensor], *shapes: tuple[int, ...]) -> Callable[[str], Tensor]:
        def call(device: str) -> Tensor:
            inputs = [torch.ones(shape, device=device, requires_grad=True) for shape in shapes]
            out = function(*inputs)
            return torch.autograd.grad(out.sum(), inputs[0])[0]
        return call

    image, target = (1, 2, 9, 9), torch.tensor([0, 1, 2])
    yield 'nms', _TORCHVISION, lambda d: ops.nms(boxes(d), scores(d), 0.5)[0]
    yield 'soft_nms', _PYTORCH, lambda d: ops.soft_nms(boxes(d), scores(d), 0.5)[0]
    yield 'nms_match', _PYTORCH, lambda d: ops.nms_match(
        torch.cat((boxes(d), scores(d)[:, None]), dim=1).cpu(), 0.5)[0].to(d)
    yield 'nms_rotated', _PYTORCH, lambda d: ops.nms_rotated(rotated(d), scores(d), 0.5)[0]
    yield 'box_iou_rotated', _PYTORCH, lambda d: ops.box_iou_rotated(rotated(d), rotated(d))
    yield 'bbox_overlaps', _MMCV, lambda d: ops.bbox_overlaps(boxes(d), boxes(d))
    yield 'roi_align', _TORCHVISION, gradient(lambda x: ops.roi_align(x, rois(x.device.type), 3), image)
    yield 'roi_align (max)', _PYTORCH, gradient(
        lambda x: ops.roi_align(x, rois(x.device.type), 3, 1.0, 0, 'max'), image)
    yield 'roi_pool', _PYTORCH, gradient(lambda x: ops.roi_pool(x, rois(x.device.type), 3), image)
    yield 'sigmoid_focal_loss', _PYTORCH, gradient(lambda x: ops.sigmoid_focal_loss(x, target.to(x.device)), (3, 4))
    yield 'softmax_focal_loss', _PYTORCH, gradient(lambda x: ops.softmax_focal_loss(x, target.to(x.device)), (3, 4))
    yield 'deform_conv2d', _TORCHVISION, gradient(
        lambda x, offset, w: ops.deform_conv2d(x, offset, w, 1, 1), image, (1, 18, 9, 9), (2, 2, 3, 3))
    yield 'modulated_deform_conv2d', _TORCHVISION, gradient(
        lambda x, offset, mask, w: ops.modulated_deform_conv2d(x, offset, mask, w, None, 1, 1),
        image, (1, 18, 9, 9), (1, 9, 9, 9), (2, 2, 3, 3))
    yield 'ms_deform_attn', _MMCV, gradient(
        lambda value, places, weights: MultiScaleDeformableAttnFunction.apply(
            value, torch.tensor([[2, 3]], device=value.device), torch.tensor([0], device=value.device), places,
            weights, 1), (1, 6, 1, 4), (1, 5, 1, 1, 2, 2), (1, 5, 1, 1, 2))
    yield 'masked_conv2d', _PYTORCH, lambda d: ops.masked_conv2d(
        torch.ones(image, device=d), torch.ones(1, 9, 9, device=d), torch.ones(2, 2, 3, 3, device=d),
        torch.ones(2, device=d), 1)
    yield 'carafe', _PYTORCH, gradient(
        lambda x, masks: ops.carafe(x, masks, 3, 1, 2), (1, 4, 3, 3), (1, 9, 6, 6))
    yield from _probes_beyond_mmdet(gradient, rotated, scores)


def _probes_beyond_mmdet(gradient: Callable[..., Callable[[str], Tensor]], rotated: Callable[[str], Tensor],
                         scores: Callable[[str], Tensor]) -> Iterator[tuple[str, str, Callable[[str], Tensor]]]:
    """Operators that MMRotate, MMOCR and MMDetection3D call, and MMDetection does not."""
    import mmcv._ext as ext
    from mmcv import ops

    def turned(device: str) -> Tensor:
        return torch.cat((torch.zeros(3, 1, device=device), rotated(device)), dim=1)

    def quadrilaterals(device: str) -> Tensor:
        return torch.tensor([[0, 0, 4, 0, 4, 4, 0, 4], [1, 1, 5, 1, 5, 5, 1, 5], [6, 6, 8, 6, 8, 8, 6, 8.]],
                            device=device)

    def cloud(device: str) -> Tensor:
        return torch.arange(18.0, device=device).view(1, 6, 3) / 6

    def boxes3d(device: str) -> Tensor:
        return torch.cat((cloud(device)[:, :3], torch.ones(1, 3, 4, device=device)), dim=2)

    def filled(name: str, out: Tensor, *inputs: Tensor, **settings: float) -> Tensor:
        getattr(ext, name)(*inputs, out, **settings)  # mmcv's Python side asks for CUDA first
        return out

    image = (1, 4, 9, 9)
    yield 'roi_align_rotated', _PYTORCH, gradient(
        lambda x: ops.roi_align_rotated(x, turned(x.device.type), 3, 1.0, 2), image)
    yield 'riroi_align_rotated', _PYTORCH, gradient(
        lambda x: ops.RiRoIAlignRotated((3, 3), 1.0, 2, 4)(x, turned(x.device.type)), image)
    yield 'rotated_feature_align', _PYTORCH, gradient(
        lambda x: ops.rotated_feature_align(x, torch.ones(1, 9, 9, 5, device=x.device), 1.0, 5), image)
    yield 'bezier_align', _PYTORCH, gradient(
        lambda x: ops.bezier_align(x, torch.zeros(2, 17, device=x.device), 3, 1.0, 2), image)
    yield 'box_iou_quadri', _PYTORCH, lambda d: ops.box_iou_quadri(quadrilaterals(d), quadrilaterals(d))
    yield 'nms_quadri', _PYTORCH, lambda d: ops.nms_quadri(quadrilaterals(d), scores(d), 0.5)[0]
    yield 'points_in_polygons', _PYTORCH, lambda d: ops.points_in_polygons(cloud(d)[0, :, :2], quadrilaterals(d))
    yield 'points_in_boxes', _PYTORCH, lambda d: filled(
        'points_in_boxes_all_forward', torch.zeros(1, 6, 3, dtype=torch.int32, device=d), boxes3d(d), cloud(d))
    yield 'boxes_overlap_bev', _PYTORCH, lambda d: ops.boxes_overlap_bev(boxes3d(d)[0], boxes3d(d)[0])
    yield 'nms3d', _PYTORCH, lambda d: ops.nms3d(boxes3d(d)[0], scores(d), 0.5)
    yield 'voxelization', _PYTORCH, lambda d: ops.voxelization(cloud(d)[0], [1, 1, 1], [0, 0, 0, 4, 4, 4], 3, 9)[0]
    yield 'three_nn', _PYTORCH, lambda d: ops.three_nn(cloud(d), cloud(d))[0]
    yield 'ball_query', _PYTORCH, lambda d: ops.ball_query(0, 1.0, 2, cloud(d), cloud(d))
    yield 'furthest_point_sample', _PYTORCH, lambda d: filled(
        'furthest_point_sampling_forward', torch.zeros(1, 2, dtype=torch.int32, device=d), cloud(d),
        torch.full((1, 6), 1e10, device=d), b=1, n=6, m=2)
    yield 'gather_points', _PYTORCH, gradient(lambda x: ops.gather_points(
        x, torch.tensor([[0, 2]], dtype=torch.int32, device=x.device)), (1, 2, 4))
    yield 'active_rotated_filter', _PYTORCH, gradient(lambda x: ops.active_rotated_filter(
        x, torch.ones(1, 1, 1, 2, dtype=torch.int32, device=x.device)), (1, 1, 1, 1, 1))
    yield 'psa_mask', _PYTORCH, gradient(lambda x: ops.PSAMask('collect', (3, 3))(x), (1, 9, 4, 4))
    yield 'pixel_group', _PYTORCH, lambda d: torch.tensor(ops.pixel_group(
        torch.ones(4, 4), torch.ones(4, 4, dtype=torch.bool), torch.ones(4, 4, 2), torch.eye(4).int(),
        torch.eye(4).byte(), 2, 0.5)[1], device=d)
    yield 'contour_expand', _PYTORCH, lambda d: torch.tensor(ops.contour_expand(
        torch.ones(2, 4, 4).byte(), torch.eye(4).int(), 0, 2), device=d)
