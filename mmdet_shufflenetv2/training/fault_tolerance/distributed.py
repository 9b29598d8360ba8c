"""Make training with several processes equivalent to one process with a larger batch.

MMEngine differs in three ways:

- On a CPU, its launcher asks for the index of a GPU.
- Each process logs only the loss of its own images.
- Many losses are divided by the number of objects in the batch. Each process uses the number of its own images, and the
  mean of the quotients is not the quotient of the means. MMDetection's newer heads average that number over the
  processes. :func:`share_normalizers` does so for older dense heads and for box heads.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from mmdet.models.dense_heads import AnchorHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.registry import HOOKS
from mmdet.utils import reduce_mean
from mmengine.config import Config
from mmengine.dist import all_reduce_dict, is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import distributed, nn

from ...compat.patches import replace
from ...utils.errors import UserError

__all__ = ['SharedLossHook', 'join_processes', 'share_normalizers']

# Set by torchrun, or on GPUs by MMEngine's launcher for Slurm.
_NEEDED = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')


def join_processes(cfg: Config) -> None:
    """Initialize the process group of a distributed run on CPUs. On GPUs, MMEngine does it.

    Raises:
        UserError: If the processes cannot find each other.
    """
    if cfg.launcher == 'none' or torch.cuda.is_available():
        return
    if missing := [name for name in _NEEDED if name not in os.environ]:
        raise UserError(
            f'launcher={cfg.launcher}: missing environment variables {", ".join(missing)}. On CPUs, start '
            f'the processes with: torchrun --nproc-per-node N tools/train.py CONFIG'
        )
    if not distributed.is_initialized():
        distributed.init_process_group('gloo')


def share_normalizers(model: nn.Module) -> None:
    """Make every head that normalizes by the number of its anchors or boxes use the mean over all processes.

    ``DistributedDataParallel`` averages gradients over the processes, so the result is the gradient of the complete
    batch. Dense heads that override ``get_targets`` average the number already.
    """
    for head in model.modules():
        if isinstance(head, AnchorHead) and type(head).get_targets is AnchorHead.get_targets:
            replace('AnchorHead.get_targets', head, _sharing_targets(head.get_targets))
        elif isinstance(head, BBoxHead) and type(head).loss is BBoxHead.loss:
            replace('BBoxHead.loss', head, _sharing_loss(head.loss))


def _sharing_targets(get_targets: Any) -> Any:

    def shared(*args: Any, **kwargs: Any) -> tuple[Any, ...] | None:
        targets = get_targets(*args, **kwargs)
        if targets is None:
            return None
        *lists, count = targets[:5]
        device = lists[0][0].device
        return (*lists, reduce_mean(torch.tensor(float(count), device=device)).item(), *targets[5:])

    return shared


def _sharing_loss(loss: Any) -> Any:

    def shared(cls_score: Any, bbox_pred: Any, rois: torch.Tensor, *args: Any, **kwargs: Any) -> dict[str, Any]:
        losses = loss(cls_score, bbox_pred, rois, *args, **kwargs)
        if kwargs.get('reduction_override'):  # called by a sampler that selects boxes by their loss
            return losses
        count = torch.tensor(float(max(len(rois), 1)), device=rois.device)
        share = count / reduce_mean(count)
        return {name: value * share for name, value in losses.items()}

    return shared


@HOOKS.register_module()
class SharedLossHook(Hook):
    """Averages normalizers and logged losses over all processes."""

    priority = 'HIGHEST'  # before the logger hook

    def before_train(self, runner: Runner) -> None:
        if is_distributed():
            share_normalizers(runner.model)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if is_distributed() and outputs:
            values = {name: torch.as_tensor(value).detach().clone() for name, value in outputs.items()}
            all_reduce_dict(values, 'mean')
            outputs.update(values)
