"""Private names of PyTorch, torchvision, mmcv, MMEngine and MMDetection, one function each.

No other module of the package uses their private names, so if a release renames one, only this file changes.
``README.md`` in this folder lists a tested release for each, and the private methods that our classes override.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.visualization import BaseVisBackend, Visualizer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torchvision.models._utils import IntermediateLayerGetter

__all__ = [
    'BatchNorm',
    'IntermediateLayerGetter',
    'TorchDispatchMode',
    'accumulated_batches',
    'backends_of',
    'bbox_overlaps_cpu',
    'bbox_post_process',
    'checkpoint_loaders',
    'coco_of',
    'count_steps',
    'deform_conv2d_backward',
    'grid_boxes',
    'has_forward_hooks',
    'has_forward_pre_hooks',
    'is_forked_from_cuda',
    'is_resuming',
    'logs_initialization',
    'mask_outputs',
    'merge_into',
    'normalizes',
    'roi_align_backward',
    'roi_outputs',
    'seed_of',
    'shape_as_tensor',
    'stage_outputs',
    'storage_id',
    'swaps_channels',
    'tree_leaves',
    'weights_to_load',
]


# PyTorch and torchvision


def shape_as_tensor(x: Tensor) -> Tensor:
    """The shape of a tensor as a tensor, which stays dynamic in a traced graph."""
    return torch._shape_as_tensor(x)


def has_forward_hooks(module: nn.Module) -> bool:
    """Whether hooks run after a module's ``forward``."""
    return bool(module._forward_hooks)


def has_forward_pre_hooks(module: nn.Module) -> bool:
    """Whether hooks run before a module's ``forward``, such as those of ``weight_norm`` and ``spectral_norm``."""
    return bool(module._forward_pre_hooks)


def is_forked_from_cuda() -> bool:
    """Whether this process was forked from a process that uses a GPU, and cannot use it itself."""
    return torch.cuda._is_in_bad_fork()


def storage_id(tensor: Tensor) -> int:
    """An id that is equal for tensors that share memory; on ``meta`` every ``data_ptr`` is 0."""
    return tensor.untyped_storage()._cdata


def roi_align_backward(*arguments: Any) -> Tensor:
    """The gradient of ``torchvision.ops.roi_align``; arguments as in torchvision's operator."""
    return torch.ops.torchvision._roi_align_backward(*arguments)


def deform_conv2d_backward(*arguments: Any) -> tuple[Tensor, ...]:
    """The gradients of ``torchvision.ops.deform_conv2d`` for input, weight, offset, mask and bias."""
    return torch.ops.torchvision._deform_conv2d_backward(*arguments)


# mmcv


def bbox_overlaps_cpu(boxes1: Tensor, boxes2: Tensor, mode: str, aligned: bool, offset: int) -> Tensor:
    """Box overlaps ``(N, M)``, or ``(N,)`` with ``aligned``, computed by mmcv in PyTorch."""
    from mmcv.ops.bbox import _bbox_overlaps_cpu  # imported here because mmcv.ops imports our operators

    return _bbox_overlaps_cpu(boxes1, boxes2, mode, aligned, offset)


# MMEngine


def merge_into(entries: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Merge the entries of a config into those of its base, as ``_base_`` does.

    Raises:
        TypeError, KeyError, IndexError: If an entry cannot be merged into the base.
    """
    return Config._merge_a_into_b(entries, base)


def checkpoint_loaders() -> dict[str, Callable[..., Any]]:
    """Checkpoint loaders by URL prefix, such as ``https://``."""
    return dict(CheckpointLoader._schemes)


def is_resuming(runner: Runner) -> bool:
    """Whether the runner resumes a run."""
    return runner._resume


def weights_to_load(runner: Runner) -> str | None:
    """The checkpoint that the runner loads or resumes from."""
    return runner._load_from


def seed_of(runner: Runner) -> int | None:
    """The seed in the config of a run."""
    return runner._randomness_cfg.get('seed')


def accumulated_batches(runner: Runner) -> int:
    """Number of batches whose gradients are accumulated for an optimizer step."""
    return runner.optim_wrapper._accumulative_counts


def backends_of(visualizer: Visualizer) -> list[BaseVisBackend]:
    """What a visualizer writes to."""
    return list(visualizer._vis_backends.values())


def count_steps(scheduler: Any) -> None:
    """Set the optimizer's step counter to 0, so that a scheduler that is stepped first does not warn."""
    scheduler.optimizer._global_step = 0


def logs_initialization(module: nn.Module) -> bool:
    """Whether MMEngine logs the initializer of each weight, which ``update_init_info`` reports."""
    return hasattr(module, '_params_init_info')


# MMDetection


def normalizes(preprocessor: nn.Module) -> bool:
    """Whether a ``DetDataPreprocessor`` subtracts a mean and divides by a standard deviation."""
    return bool(preprocessor._enable_normalize)


def swaps_channels(preprocessor: nn.Module) -> bool:
    """Whether a ``DetDataPreprocessor`` converts BGR to RGB or back."""
    return bool(preprocessor._channel_conversion)


def bbox_post_process(head: Any, results: Any, **arguments: Any) -> Any:
    """Rescale the candidates of a dense head and apply NMS; arguments as in ``BaseDenseHead``."""
    return head._bbox_post_process(results, **arguments)


def roi_outputs(roi_head: Any, features: Any, rois: Tensor) -> dict[str, Tensor]:
    """``cls_score`` and ``bbox_pred`` of a ``StandardRoIHead`` for RoIs ``(K, 5)``: image, x1, y1, x2, y2."""
    return roi_head._bbox_forward(features, rois)


def stage_outputs(roi_head: Any, stage: int, features: Any, rois: Tensor) -> dict[str, Tensor]:
    """:func:`roi_outputs` of a stage of a ``CascadeRoIHead``."""
    return roi_head._bbox_forward(stage, features, rois)


def mask_outputs(roi_head: Any, features: Any, rois: Tensor) -> Tensor:
    """Mask logits ``(K, C, H, W)`` of a ``StandardRoIHead`` for RoIs ``(K, 5)``."""
    return roi_head._mask_forward(features, rois)['mask_preds']


def grid_boxes(grid_head: Any, heatmaps: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes ``(K, 4)`` moved to the maxima of a ``GridHead``'s heatmaps; clipped to ``size``, height and width."""
    return grid_head._predict_by_feat_single(heatmaps, boxes, dict(img_shape=size))


def coco_of(metric: Any) -> Any:
    """The ground truth of a ``CocoMetric``."""
    return metric._coco_api
