"""Batch norm statistics of the final weights."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from mmdet.registry import HOOKS
from mmengine.dist import all_reduce_params
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor
from torch.optim.swa_utils import update_bn

from ..unwrap import unwrap_model

__all__ = ['NormStatisticsHook']


@HOOKS.register_module()
class NormStatisticsHook(Hook):
    """At the end of a training, average the statistics of all batch norms over an epoch of the final weights.

    What they hold until then is a moving average over weights that have changed since. The authors' release ends its
    training so (``bn_process`` in megvii-model/ShuffleNet-Series).

    Args:
        num_batches: Batches to average over, at most an epoch's.
    """

    def __init__(self, num_batches: int) -> None:
        self.num_batches = num_batches

    def after_train_epoch(self, runner: Runner) -> None:
        """Behind the last epoch, in front of its checkpoint and evaluation."""
        if not self.is_last_train_epoch(runner):
            return
        runner.logger.info(f'Average batch norm statistics over {self.num_batches} batches')
        model = unwrap_model(runner.model)
        update_bn(self._images(runner, model), model)
        all_reduce_params([buffer for buffer in model.buffers() if buffer.is_floating_point()], op='mean')

    def _images(self, runner: Runner, model: BaseModel) -> Iterator[Tensor]:
        for batch in islice(runner.train_dataloader, self.num_batches):
            yield model.data_preprocessor(batch, training=True)[0]
