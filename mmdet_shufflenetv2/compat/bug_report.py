"""Information for a bug report: installed versions, and the provider and the state of each mmcv operator."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import mmcv._ext as ext
import torch
from mmcv import ops
from torch import Tensor

from . import ops_are_served

__all__ = ['report']

#: Name in the report -> the packages that provide it, the original first, then forks.
_PACKAGES = {
    'torch': ('torch',),
    'torchvision': ('torchvision',),
    'mmcv': ('mmcv', 'mmcv-lite', 'onedl-mmcv'),
    'mmengine': ('mmengine', 'mmengine-lite', 'onedl-mmengine'),
    'mmdet': ('mmdet', 'onedl-mmdetection'),
    'numpy': ('numpy',),
    'opencv': ('opencv-python', 'opencv-python-headless'),
    'pycocotools': ('pycocotools',),
}
# Providers of operators without compiled mmcv, if not plain PyTorch.
_PROVIDERS = {
    **dict.fromkeys(('nms', 'roi_align', 'deform_conv2d', 'modulated_deform_conv2d'), 'torchvision'),
    **dict.fromkeys(('bbox_overlaps', 'ms_deform_attn'), "mmcv's PyTorch code"),
}


def report() -> str:
    """Return versions, and a table of the operators with provider and state on the CPU and the GPU, in Markdown.

    Each operator is called once on small inputs. ``yes`` means that it ran and its output is finite.
    """
    served = ops_are_served()
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    lines = [
        f'Python {platform.python_version()} on {platform.system()} {platform.machine()}, GPU: {gpu or "none"}',
        *(f'{name}: {_version_of(packages)}' for name, packages in _PACKAGES.items()),
        f'mmcv operators: {"provided by mmdet_shufflenetv2" if served else "compiled"}',
        '',
        '| operator | provider | CPU | CUDA |',
        '| --- | --- | --- | --- |',
    ]
    for name, call in _PROBES.items():
        provider = _PROVIDERS.get(name, 'PyTorch') if served else 'mmcv, compiled'
        lines.append(f'| {name} | {provider} | {_state(call, "cpu")} | {_state(call, "cuda") if gpu else "no GPU"} |')
    return '\n'.join(lines)


def _version_of(packages: tuple[str, ...]) -> str:
    found = []
    for package in packages:
        try:
            found.append(f'{package} {version(package)}')
        except PackageNotFoundError:
            continue
    # Two of them, such as mmcv and mmcv-lite, overwrite each other's files, so the report lists both.
    return ' and '.join(found) or 'not installed'


class _Inputs:
    """Small inputs on a device."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.boxes = self.of([[0, 0, 4, 4], [1, 1, 5, 5], [6, 6, 8, 8.0]])
        self.scores, first = self.of([0.9, 0.8, 0.7]), self.of([[0.0], [0], [0]])
        self.rois = torch.cat((first, self.boxes), dim=1)
        self.rotated = torch.cat((self.boxes + 1, self.boxes[:, :1] / 9), dim=1)
        self.rotated_rois = torch.cat((first, self.rotated), dim=1)
        self.corners = self.boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]]
        self.cloud = torch.arange(18.0, device=self.device).view(1, 6, 3) / 6
        self.boxes3d = torch.cat((self.cloud[:, :3], torch.ones(1, 3, 4, device=self.device)), dim=2)
        self.leaves: list[Tensor] = []

    def of(self, values: list[Any], dtype: torch.dtype | None = None) -> Tensor:
        return torch.tensor(values, dtype=dtype, device=self.device)

    def leaf(self, *shape: int) -> Tensor:
        """Ones. The gradient with respect to the first leaf is also computed."""
        self.leaves.append(torch.ones(shape, device=self.device, requires_grad=True))
        return self.leaves[-1]

    def filled(self, operator: Callable[..., None], out: Tensor, *inputs: Tensor, **settings: float) -> Tensor:
        """Call an operator of mmcv._ext and return its output; mmcv's Python side would require CUDA."""
        operator(*inputs, out, **settings)
        return out


def _state(call: Callable[[_Inputs], Tensor], device: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # PyTorch warns about calls in mmcv that still work
            x = _Inputs(device)
            out = call(x)
            if x.leaves:
                out = torch.autograd.grad(out.sum(), x.leaves[0])[0]
            return 'yes' if bool(out.isfinite().all()) else 'not finite'
    except Exception as error:  # a broken installation can raise anything, and the report shows it
        return f'no: {str(error).splitlines()[0][:60] if str(error) else type(error).__name__}'


_IMAGE, _INT = (1, 2, 9, 9), torch.int32
# One call of each operator.
_PROBES: dict[str, Callable[[_Inputs], Tensor]] = {
    'nms': lambda x: ops.nms(x.boxes, x.scores, 0.5)[0],
    'soft_nms': lambda x: ops.soft_nms(x.boxes, x.scores, 0.5)[0],
    'nms_match': lambda x: ops.nms_match(torch.cat((x.boxes, x.scores[:, None]), dim=1).cpu(), 0.5)[0].to(x.device),
    'nms_rotated': lambda x: ops.nms_rotated(x.rotated, x.scores, 0.5)[0],
    'box_iou_rotated': lambda x: ops.box_iou_rotated(x.rotated, x.rotated),
    'bbox_overlaps': lambda x: ops.bbox_overlaps(x.boxes, x.boxes),
    'roi_align': lambda x: ops.roi_align(x.leaf(*_IMAGE), x.rois, 3),
    'roi_align (max)': lambda x: ops.roi_align(x.leaf(*_IMAGE), x.rois, 3, 1.0, 0, 'max'),
    'roi_pool': lambda x: ops.roi_pool(x.leaf(*_IMAGE), x.rois, 3),
    'sigmoid_focal_loss': lambda x: ops.sigmoid_focal_loss(x.leaf(3, 4), x.of([0, 1, 2])),
    'softmax_focal_loss': lambda x: ops.softmax_focal_loss(x.leaf(3, 4), x.of([0, 1, 2])),
    'deform_conv2d': lambda x: ops.deform_conv2d(x.leaf(*_IMAGE), x.leaf(1, 18, 9, 9), x.leaf(2, 2, 3, 3), 1, 1),
    'modulated_deform_conv2d': lambda x: ops.modulated_deform_conv2d(
        x.leaf(*_IMAGE), x.leaf(1, 18, 9, 9), x.leaf(1, 9, 9, 9), x.leaf(2, 2, 3, 3), None, 1, 1
    ),
    'ms_deform_attn': lambda x: ops.multi_scale_deform_attn.MultiScaleDeformableAttnFunction.apply(
        x.leaf(1, 6, 1, 4), x.of([[2, 3]]), x.of([0]), x.leaf(1, 5, 1, 1, 2, 2), x.leaf(1, 5, 1, 1, 2), 1
    ),
    'masked_conv2d': lambda x: ops.masked_conv2d(
        *(torch.ones(shape, device=x.device) for shape in (_IMAGE, (1, 9, 9), (2, 2, 3, 3), (2,))), 1
    ),
    'carafe': lambda x: ops.carafe(x.leaf(1, 4, 3, 3), x.leaf(1, 9, 6, 6), 3, 1, 2),
    # Operators of MMRotate, MMOCR and MMDetection3D that MMDetection does not use.
    'roi_align_rotated': lambda x: ops.roi_align_rotated(x.leaf(*_IMAGE), x.rotated_rois, 3, 1.0, 2),
    'riroi_align_rotated': lambda x: ops.RiRoIAlignRotated((3, 3), 1.0, 2, 2)(x.leaf(*_IMAGE), x.rotated_rois),
    'rotated_feature_align': lambda x: ops.rotated_feature_align(
        x.leaf(*_IMAGE), torch.ones(1, 9, 9, 5, device=x.device), 1.0, 5
    ),
    'bezier_align': lambda x: ops.bezier_align(x.leaf(*_IMAGE), torch.zeros(2, 17, device=x.device), 3, 1.0, 2),
    'box_iou_quadri': lambda x: ops.box_iou_quadri(x.corners, x.corners),
    'nms_quadri': lambda x: ops.nms_quadri(x.corners, x.scores, 0.5)[0],
    'points_in_polygons': lambda x: ops.points_in_polygons(x.cloud[0, :, :2], x.corners),
    'points_in_boxes': lambda x: x.filled(
        ext.points_in_boxes_all_forward, torch.zeros(1, 6, 3, dtype=_INT, device=x.device), x.boxes3d, x.cloud
    ),
    'boxes_overlap_bev': lambda x: ops.boxes_overlap_bev(x.boxes3d[0], x.boxes3d[0]),
    'nms3d': lambda x: ops.nms3d(x.boxes3d[0], x.scores, 0.5),
    'voxelization': lambda x: ops.voxelization(x.cloud[0], [1, 1, 1], [0, 0, 0, 4, 4, 4], 3, 9)[0],
    'three_nn': lambda x: ops.three_nn(x.cloud, x.cloud)[0],
    'ball_query': lambda x: ops.ball_query(0, 1.0, 2, x.cloud, x.cloud),
    'furthest_point_sample': lambda x: x.filled(
        ext.furthest_point_sampling_forward,
        torch.zeros(1, 2, dtype=_INT, device=x.device),
        x.cloud,
        torch.full((1, 6), 1e10, device=x.device),
        b=1,
        n=6,
        m=2,
    ),
    'gather_points': lambda x: ops.gather_points(x.leaf(1, 2, 4), x.of([[0, 2]], _INT)),
    'active_rotated_filter': lambda x: ops.active_rotated_filter(x.leaf(1, 1, 1, 1, 1), x.of([[[[1, 1]]]], _INT)),
    'psa_mask': lambda x: ops.PSAMask('collect', (3, 3))(x.leaf(1, 9, 4, 4)),
    'pixel_group': lambda x: x.of(
        ops.pixel_group(
            torch.ones(4, 4),
            torch.ones(4, 4, dtype=torch.bool),
            torch.ones(4, 4, 2),
            torch.eye(4).int(),
            torch.eye(4).byte(),
            2,
            0.5,
        )[1]
    ),
    'contour_expand': lambda x: x.of(ops.contour_expand(torch.ones(2, 4, 4).byte(), torch.eye(4).int(), 0, 2)),
}
