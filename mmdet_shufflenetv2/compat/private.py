"""Private names of PyTorch, torchvision, mmcv, MMEngine and MMDetection, one function each.

Nothing else in the package touches a private name of theirs: where a release renames one, this file is what changes.
The releases that each was seen in, and the private methods that our classes override, are in ``README.md`` beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torchvision.models._utils import IntermediateLayerGetter

__all__ = [
    'BatchNorm', 'IntermediateLayerGetter', 'TorchDispatchMode', 'accumulated_batches', 'bbox_overlaps_cpu',
    'bbox_post_process', 'checkpoint_loaders', 'coco_of', 'count_steps', 'deform_conv2d_backward',
    'has_forward_hooks', 'has_forward_pre_hooks', 'is_forked_from_cuda', 'is_resuming',
    'logs_initialization', 'merge_into', 'normalizes', 'roi_align_backward', 'roi_outputs', 'seed_of',
    'shape_as_tensor', 'storage_id', 'swaps_channels', 'tree_leaves', 'weights_to_load'
]


# PyTorch and torchvision


def shape_as_tensor(x: Tensor) -> Tensor:
    """The shape of a tensor as one, which a trace keeps as an input of what follows."""
    return torch._shape_as_tensor(x)


def has_forward_hooks(module: nn.Module) -> bool:
    """Whether something runs behind a module's ``forward``."""
    return bool(module._forward_hooks)


def has_forward_pre_hooks(module: nn.Module) -> bool:
    """Whether something runs before a module's ``forward``, as ``weight_norm`` and ``spectral_norm`` do."""
    return bool(module._forward_pre_hooks)


def is_forked_from_cuda() -> bool:
    """Whether this process was forked from one that uses a GPU, and cannot use it itself."""
    return torch.cuda._is_in_bad_fork()


def storage_id(tensor: Tensor) -> int:
    """A number that tensors which share memory have in common; ``data_ptr`` is 0 for all on ``meta``."""
    return tensor.untyped_storage()._cdata


def roi_align_backward(*arguments: Any) -> Tensor:
    """The gradient of ``torchvision.ops.roi_align``; arguments as torchvision registers the operator with them."""
    return torch.ops.torchvision._roi_align_backward(*arguments)


def deform_conv2d_backward(*arguments: Any) -> tuple[Tensor, ...]:
    """The gradients of ``torchvision.ops.deform_conv2d`` for input, weight, offset, mask and bias."""
    return torch.ops.torchvision._deform_conv2d_backward(*arguments)


# mmcv


def bbox_overlaps_cpu(boxes1: Tensor, boxes2: Tensor, mode: str, aligned: bool, offset: int) -> Tensor:
    """mmcv's overlap of boxes in PyTorch: ``(N, M)``, or ``(N,)`` with ``aligned``."""
    from mmcv.ops.bbox import _bbox_overlaps_cpu  # mmcv.ops imports the operators that call this
    return _bbox_overlaps_cpu(boxes1, boxes2, mode, aligned, offset)


# MMEngine


def merge_into(entries: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Entries of a config laid over those of its base, as ``_base_`` does.

    Raises:
        TypeError, KeyError, IndexError: If they do not fit the base.
    """
    return Config._merge_a_into_b(entries, base)


def checkpoint_loaders() -> dict[str, Callable[..., Any]]:
    """What reads checkpoints, by the beginning of their names, such as ``https://``."""
    return dict(CheckpointLoader._schemes)


def is_resuming(runner: Runner) -> bool:
    """Whether the runner goes on with a run."""
    return runner._resume


def weights_to_load(runner: Runner) -> str | None:
    """The checkpoint that the runner starts from, or goes on with."""
    return runner._load_from


def seed_of(runner: Runner) -> int | None:
    """The seed that the config of a run sets."""
    return runner._randomness_cfg.get('seed')


def accumulated_batches(runner: Runner) -> int:
    """Batches whose gradients are summed up for a step of the optimizer."""
    return runner.optim_wrapper._accumulative_counts


def count_steps(scheduler: Any) -> None:
    """Have a scheduler find that its optimizer counts steps, from 0."""
    scheduler.optimizer._global_step = 0


def logs_initialization(module: nn.Module) -> bool:
    """Whether MMEngine wants to be told where the weights come from, by ``update_init_info``."""
    return hasattr(module, '_params_init_info')


# MMDetection


def normalizes(preprocessor: nn.Module) -> bool:
    """Whether a ``DetDataPreprocessor`` subtracts a mean and divides by a standard deviation."""
    return preprocessor._enable_normalize


def swaps_channels(preprocessor: nn.Module) -> bool:
    """Whether a ``DetDataPreprocessor`` turns BGR into RGB or back."""
    return preprocessor._channel_conversion


def bbox_post_process(head: nn.Module, results: Any, **arguments: Any) -> Any:
    """What becomes of a dense head's candidates: rescaling and NMS; arguments as ``BaseDenseHead`` has them."""
    return head._bbox_post_process(results, **arguments)


def roi_outputs(roi_head: nn.Module, features: Any, rois: Tensor) -> dict[str, Tensor]:
    """``cls_score`` and ``bbox_pred`` of a ``StandardRoIHead`` for RoIs ``(K, 5)``: image, x1, y1, x2, y2."""
    return roi_head._bbox_forward(features, rois)


def coco_of(metric: Any) -> Any:
    """The annotations that a ``CocoMetric`` compares with."""
    return metric._coco_api
