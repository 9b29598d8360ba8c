"""Training steps of a detector on synthetic images: losses, seconds of each part, and peak memory."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from torch import nn

from mmdet_shufflenetv2.data.pipelines import base_dataset
from mmdet_shufflenetv2.models.build import build_model
from mmdet_shufflenetv2.models.step_memory import _peak
from mmdet_shufflenetv2.paper.reproduce.estimate import synthetic_batch
from mmdet_shufflenetv2.training.fault_tolerance.randomness import seed_all

__all__ = ['Steps', 'resize_images', 'run_steps', 'with_mmpretrain_backbone']

PARTS = ('forward', 'backward', 'optimizer')


class Steps(NamedTuple):
    """What a number of steps gave."""

    losses: list[float]
    #: Seconds of the transforms of one batch in one process, without decoding.
    data: float
    #: Median seconds of each part, waiting for the GPU after each.
    parts: dict[str, float]
    #: Seconds per step without waiting between the parts.
    step: float
    #: Peak memory in MiB: on a GPU all that PyTorch allocated, on a CPU what a step adds.
    memory: float


class _AutocastOnCPU(OptimWrapper):
    """AmpOptimWrapper needs a GPU."""

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield


def resize_images(cfg: Config, split: str, size: tuple[int, int]) -> None:
    """Let the pipeline of a split resize images into a height and width."""
    for step in base_dataset(cfg, split).pipeline:
        if 'scale' in step:
            step.scale = (size[1], size[0])


def with_mmpretrain_backbone(cfg: Config) -> None:
    """Replace the backbone by mmpretrain's. It returns three stages, as that of the config must.

    Raises:
        ImportError: If mmpretrain cannot be imported.
    """
    try:
        from mmpretrain.models.backbones import ShuffleNetV2 as Theirs
    except Exception as error:  # it can raise anything on a newer PyTorch
        raise ImportError(f'mmpretrain cannot be imported: {str(error).splitlines()[0]}') from error
    MODELS.register_module(name='MMPretrainShuffleNetV2', module=Theirs, force=True)
    ours = cfg.model.backbone
    cfg.model.backbone = dict(
        type='MMPretrainShuffleNetV2',
        widen_factor=ours.get('widen_factor', 1.0),
        out_indices=(0, 1, 2),
        frozen_stages=ours.get('frozen_stages', -1),
        act_cfg=ours.get('act_cfg', dict(type='ReLU')),
        norm_eval=ours.get('norm_eval', False),
    )


def run_steps(
    cfg: Config, device: str, batch_size: int, steps: int, dtype: str | None = None, channels_last: bool = False
) -> Steps:
    """Train a detector with random weights for some steps, with the config's optimizer.

    Args:
        cfg: The config of a detector.
        device: ``cpu`` or ``cuda``.
        batch_size: Images per step.
        steps: Number of steps.
        dtype: ``float16`` or ``bfloat16`` for mixed precision (on a CPU always the latter); None for float32.
        channels_last: Whether weights and images are in this memory format.
    """
    seed_all(0)
    model = build_model(cfg.model, for_training=True)
    model.init_weights()
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    model.to(device, memory_format=memory_format).train()
    began = time.perf_counter()
    batch = synthetic_batch(cfg, 'train', batch_size)
    data = time.perf_counter() - began
    optimizer_cfg = copy.deepcopy(cfg.optim_wrapper)
    if dtype:
        on_gpu = dict(type='AmpOptimWrapper', dtype=dtype, loss_scale='dynamic')
        optimizer_cfg.update(on_gpu if device != 'cpu' else dict(type=_AutocastOnCPU))
    optimizer_cfg.optimizer.lr *= 0.01  # that of the first steps of a warm-up
    optimizer = build_optim_wrapper(model, optimizer_cfg)
    losses: list[float] = []
    parts: dict[str, list[float]] = {part: [] for part in PARTS}
    for _ in range(steps):
        losses.append(_step(model, batch, optimizer, memory_format, parts))
    memory = _peak_memory(device, lambda: _step(model, batch, optimizer, memory_format))
    _wait(device)
    began = time.perf_counter()
    for _ in range(steps):
        _step(model, batch, optimizer, memory_format)
    _wait(device)
    step = (time.perf_counter() - began) / steps
    warm = steps // 5  # the first ones choose kernels
    return Steps(losses, data, {part: statistics.median(times[warm:]) for part, times in parts.items()}, step, memory)


def _step(
    model: Any, batch: Any, optimizer: OptimWrapper, memory_format: torch.memory_format, parts: Any = None
) -> float:
    """A step as MMEngine's ``train_step`` makes it; with ``parts``, their seconds are appended."""
    device = next(model.parameters()).device.type
    times = [time.perf_counter()]

    def done() -> None:
        if parts is not None:
            _wait(device)
            times.append(time.perf_counter())

    with optimizer.optim_context(model):
        data = model.data_preprocessor(copy.deepcopy(batch), True)
        data['inputs'] = data['inputs'].contiguous(memory_format=memory_format)
        losses = model(**data, mode='loss')
    loss, _ = model.parse_losses(losses)
    done()
    optimizer.backward(optimizer.scale_loss(loss))
    done()
    optimizer.step()
    optimizer.zero_grad()
    done()
    for part, before, after in zip(PARTS, times, times[1:]):
        parts[part].append(after - before)
    return float(loss.detach()) if parts is not None else 0.0


def _peak_memory(device: str, call: Any) -> float:
    if device == 'cpu':
        return _peak(call) / 2**20
    torch.cuda.reset_peak_memory_stats()
    call()
    return torch.cuda.max_memory_allocated() / 2**20


def _wait(device: str) -> None:
    if device != 'cpu':
        torch.cuda.synchronize()
