"""Add :mod:`..training.fault_tolerance` to a config."""

from __future__ import annotations

import os

from mmengine.config import Config, ConfigDict

__all__ = ['BROKEN_IMAGES', 'add_fault_tolerance']

#: Name of the list of broken images in the work dir of a run.
BROKEN_IMAGES = 'broken_images.jsonl'

# Registered by mmdet_shufflenetv2.training.fault_tolerance.
_HOOKS = ('SharedLossHook', 'FiniteLossHook', 'RunStateHook', 'ImageDrawsHook', 'InterruptHook')


def add_fault_tolerance(
    cfg: Config, *, max_broken_images: int = 10, checkpoint_interval_minutes: float | None = None
) -> None:
    """Add fault tolerance to a training run.

    A custom training loop or checkpoint hook is left unchanged and lacks the features that depend on it. For example,
    iteration-based loops resume as in MMEngine.

    Args:
        cfg: The config of the run with its ``work_dir``; changed in place.
        max_broken_images: Unreadable images that are skipped before the run ends.
        checkpoint_interval_minutes: Also save in the middle of an epoch, at this interval.
    """
    hooks = cfg.setdefault('default_hooks', ConfigDict())
    checkpoint = hooks.setdefault('checkpoint', ConfigDict(type='CheckpointHook', interval=1))
    if checkpoint.get('type') == 'FaultTolerantCheckpointHook':  # a config from inside a checkpoint
        checkpoint.interval_minutes = checkpoint_interval_minutes
    if checkpoint.get('type') == 'CheckpointHook':
        checkpoint.update(type='FaultTolerantCheckpointHook', interval_minutes=checkpoint_interval_minutes)
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), *(dict(type=hook) for hook in _HOOKS)]
    loader = cfg.train_dataloader
    loop = cfg.get('train_cfg') or {}
    broken_list = os.path.join(cfg.work_dir, BROKEN_IMAGES)
    for hook in cfg.get('custom_hooks') or []:
        if hook.get('type') == 'BrokenImagesHook':
            hook.update(file=broken_list, limit=max_broken_images)
            loader.dataset.broken_list = broken_list
    epochs = loop.get('type') == 'EpochBasedTrainLoop' or ('type' not in loop and loop.get('by_epoch', True))
    if not isinstance(loader, dict) or not epochs:
        return
    loop.pop('by_epoch', None)
    loop['type'] = 'ResumableEpochLoop'
    loader['batch_sampler'] = dict(
        type='ResumableBatchSampler', batches=loader.get('batch_sampler'), drop_last=loader.pop('drop_last', False)
    )
    _reject_truncated_images(loader['dataset'])
    loader['dataset'] = dict(type='FaultTolerantDataset', dataset=loader['dataset'], broken_list=broken_list)
    cfg.custom_hooks = [
        *(cfg.get('custom_hooks') or []),
        dict(type='BrokenImagesHook', file=broken_list, limit=max_broken_images),
    ]


def _reject_truncated_images(node: object) -> None:
    """Make every transform that loads an image reject a truncated one."""
    if isinstance(node, dict):
        if node.get('type') in ('LoadImageFromFile', 'mmdet.LoadImageFromFile', 'mmcv.LoadImageFromFile'):
            node['type'] = 'LoadCompleteImage'
        node = node.values()
    if not isinstance(node, str) and hasattr(node, '__iter__'):
        for each in node:
            _reject_truncated_images(each)
