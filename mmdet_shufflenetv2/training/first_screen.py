"""Print a summary of a run before its first step."""

from __future__ import annotations

import copy
from typing import Any

import torch
from mmdet.models.detectors import BaseDetector
from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from ..compat.private import accumulated_batches
from ..data.pipelines import image_size
from ..models.unwrap import unwrap_model
from ..profiling.complexity import detector_multiply_adds
from ..utils.options import in_words

__all__ = ['FirstScreenHook', 'first_screen']


class FirstScreenHook(Hook):
    """Logs :func:`first_screen` after everything is built and the learning rate is scaled.

    Args:
        notes: What was chosen and why, by the name of a line. Appended to that line, or a new line.
    """

    def __init__(self, **notes: str) -> None:
        self.notes = notes

    def before_train(self, runner: Runner) -> None:
        lines = first_screen(runner)
        lines |= {name: f'{lines[name]}, {note}' if name in lines else note for name, note in self.notes.items()}
        runner.logger.info(
            in_words('This run\n' + '\n'.join(f'  {name + ":":<16}{text}' for name, text in lines.items()))
        )


def first_screen(runner: Runner) -> dict[str, str]:
    """Describe device, data, classes, model, batch, learning rate and work dir of a run, in its ``before_train``."""
    model, loader = unwrap_model(runner.model), runner.train_dataloader
    dataset = loader.dataset
    classes = dataset.metainfo.get('classes') or ()
    validated = f', {len(runner.val_loop.dataloader.dataset)} validation images' if runner.val_loop else ''
    return {
        'device': _device(model),
        'data': f'{len(dataset)} training images{validated}',
        'classes': f'{len(classes)}: {", ".join(classes[:8])}{", ..." if len(classes) > 8 else ""}',
        'model': _model(model, runner.cfg),
        'batch': _batch(runner, loader),
        'learning rate': _learning_rate(runner),
        'length': f'{runner.max_epochs} epochs of {len(loader)} steps'
        if isinstance(runner.train_loop, EpochBasedTrainLoop)
        else f'{runner.max_iters} steps',
        'results': runner.work_dir,
    }


def _device(model: nn.Module) -> str:
    device = next(model.parameters()).device
    name = (
        f'{torch.cuda.get_device_name(device)} ({device})'
        if device.type == 'cuda'
        else (f'CPU, {torch.get_num_threads()} threads' if device.type == 'cpu' else str(device))
    )
    return name if get_world_size() == 1 else f'{get_world_size()} processes, the first one on {name}'


def _model(model: nn.Module, cfg: Config) -> str:
    total = sum(parameter.numel() for parameter in model.parameters())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    text = f'{type(model).__name__}, {total / 1e6:.2f}M parameters, {trained / 1e6:.2f}M trainable'
    size = image_size(cfg, 'val')
    if size is None or not isinstance(model, BaseDetector):
        return text
    width, height = size
    try:
        count = detector_multiply_adds(copy.deepcopy(model).eval(), height, width)
    except Exception:  # models that cannot be counted can still be trained
        return text
    return f'{text}; {count / 1e9:.2f}G multiply-adds on {width} x {height} pixels'


def _batch(runner: Runner, loader: Any) -> str:
    """Number of images per optimizer step."""
    accumulated = accumulated_batches(runner)
    each = runner.cfg.train_dataloader.batch_size
    factors = [
        f'{each} per device',
        *([f'{get_world_size()} devices'] if get_world_size() > 1 else []),
        *([f'{accumulated} accumulated batches'] if accumulated > 1 else []),
    ]
    return f'{each * get_world_size() * accumulated} images per step' + (
        f' ({" x ".join(factors)})' if len(factors) > 1 else ''
    )


def _learning_rate(runner: Runner) -> str:
    # The current rate is that of the first warm-up step. Schedulers store the base rate, and OneCycleLR its peak.
    rates = {group.get('max_lr', group.get('initial_lr', group['lr'])) for group in runner.optim_wrapper.param_groups}
    base = runner.cfg.get('auto_scale_lr') or {}
    scaled = f', scaled from {base["base_batch_size"]} images per step' if base.get('enable') else ''
    return ' to '.join(f'{rate:.4g}' for rate in sorted({min(rates), max(rates)})) + scaled
