"""Parts of published training recipes that MMEngine lacks: an initializer, a sampler and a hook."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from itertools import islice

import torch
from mmdet.registry import DATA_SAMPLERS, HOOKS
from mmengine.dist import all_reduce_params, get_dist_info, sync_random_seed
from mmengine.hooks import Hook
from mmengine.model import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner import Runner
from torch import nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import Sampler

from ...compat.private import BatchNorm, logs_initialization
from ..unwrap import unwrap_model

__all__ = ['AuthorsInit', 'NormStatisticsHook', 'RepeatedAugmentationSampler']


@WEIGHT_INITIALIZERS.register_module()
class AuthorsInit:
    """Initialize a network as in megvii-model/ShuffleNet-Series.

    Weights are normally distributed around 0. The standard deviation is 0.01 in the stem and the fully connected layer,
    elsewhere 1 / (input channels per group), which is 1 in a depthwise convolution. Batch norms have weight 1 and bias
    0.0001.
    """

    def __call__(self, module: nn.Module) -> None:
        """Initialize all parameters of the module, in place."""
        for name, layer in module.named_modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, 0, 0.01 if 'conv1.0' in name else 1 / layer.weight.shape[1])
            elif isinstance(layer, BatchNorm):
                nn.init.constant_(layer.weight, 1)
                nn.init.constant_(layer.bias, 0.0001)
            elif isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0, 0.01)
            if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
                nn.init.zeros_(layer.bias)
        if logs_initialization(module):  # MMEngine logs the initializer of each parameter
            update_init_info(module, init_info='AuthorsInit')


@DATA_SAMPLERS.register_module()
class RepeatedAugmentationSampler(Sampler[int]):
    """Repeated augmentation (Hoffer et al., CVPR 2020): several differently augmented views of each image.

    As in torchvision's training reference, the views of an image follow each other and go to different processes. An
    epoch has the usual length, so it contains only one in ``repeats`` images.

    Args:
        dataset: The dataset.
        repeats: Views per image.
        seed: Seed of the order, the same in all processes. None means a random seed.
    """

    def __init__(self, dataset: Sized, repeats: int, seed: int | None = None) -> None:
        self.dataset = dataset
        self.repeats = repeats
        self.rank, self.world_size = get_dist_info()
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(len(self.dataset), generator=generator).repeat_interleave(self.repeats)
        yield from order[self.rank :: self.world_size][: len(self)].tolist()

    def __len__(self) -> int:
        return len(self.dataset) // self.world_size

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, on which the order depends."""
        self.epoch = epoch


@HOOKS.register_module()
class NormStatisticsHook(Hook):
    """At the end of training, recompute the statistics of all batch norms with the final weights.

    Until then they are moving averages over changing weights. The authors' release does the same (``bn_process`` in
    megvii-model/ShuffleNet-Series).

    Args:
        num_batches: Batches to average over, at most one epoch.
    """

    def __init__(self, num_batches: int) -> None:
        self.num_batches = num_batches

    def after_train_epoch(self, runner: Runner) -> None:
        """Recompute the statistics after the last epoch, before its checkpoint and evaluation."""
        if not self.is_last_train_epoch(runner):
            return
        runner.logger.info(f'Averaging batch norm statistics over {self.num_batches} batches')
        model = unwrap_model(runner.model)
        preprocess = model.get_submodule('data_preprocessor')
        batches = islice(runner.train_dataloader, self.num_batches)
        update_bn((preprocess(batch, training=True)[0] for batch in batches), model)
        all_reduce_params([buffer for buffer in model.buffers() if buffer.is_floating_point()], op='mean')
