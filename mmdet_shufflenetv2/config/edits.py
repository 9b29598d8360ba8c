"""Short edits of a config. Each changes ``cfg`` in place and nothing else."""

from __future__ import annotations

import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict

from ..checkpoints.latest import LAST_CHECKPOINT, latest_valid_checkpoint
from ..checkpoints.named import is_named, near_weights
from ..data.pipelines import base_dataset
from ..utils.errors import UserError
from ..utils.files import write_atomically
from .access import coco_metrics_of, datasets_of, metrics_of

__all__ = [
    'augment',
    'cap_workers',
    'check_load_from',
    'coco_metrics',
    'end_early',
    'set_data_root',
    'set_launcher',
    'set_resume',
    'show_class_wise',
]


def set_data_root(cfg: Config, root: str | None, data: str | None = None) -> None:
    """Replace the data root of every data set and metric of a config.

    Args:
        cfg: Changed in place.
        root: A folder with the same layout as the config's data root; None changes nothing.
        data: The option for the user's own data, which excludes ``root``.

    Raises:
        UserError: If ``root`` is not a folder, or if both are given.
    """
    if root is None:
        return
    if data is not None:
        raise UserError(
            f'data={data} and data_root={root} exclude each other. Use `data` for your own data set, or '
            f"`data_root` for the location of the config's data set."
        )
    if not os.path.isdir(root):
        raise UserError(f'data_root={root} is not a folder.')
    root = os.path.join(root, '')
    old_roots = set()
    for dataset in datasets_of(cfg):
        if 'data_root' in dataset:
            old_roots.add(dataset.data_root)
            dataset.data_root = root
    for key in ('val_evaluator', 'test_evaluator'):
        for metric in metrics_of(cfg, key):
            for old in old_roots:
                if str(metric.get('ann_file', '')).startswith(old):
                    metric.ann_file = root + metric.ann_file.removeprefix(old).lstrip('/')


def set_resume(cfg: Config, resume: str | None) -> None:
    """Set the checkpoint to resume from: a file, ``auto`` for the latest valid one in the work dir, or None."""
    if resume is None:
        return
    if resume == 'auto':
        latest = latest_valid_checkpoint(cfg.work_dir)
        if latest is None:
            print(f'No checkpoint in {cfg.work_dir} yet: training starts from the beginning.')
            return
        resume = str(latest)
        _write_last_checkpoint(latest)
    if not os.path.isfile(resume):
        raise UserError(
            f'Checkpoint to resume from not found: {resume}. Name a file such as '
            f'{cfg.work_dir}/epoch_3.pth, or no file for the latest one in {cfg.work_dir}.'
        )
    cfg.resume, cfg.load_from = True, resume


def _write_last_checkpoint(latest: Path) -> None:
    """Write the latest valid checkpoint to MMEngine's ``last_checkpoint`` file, which may name a corrupt one."""
    note = latest.parent / LAST_CHECKPOINT
    if int(os.environ.get('RANK', 0)) == 0 and not (note.is_file() and note.read_text() == str(latest)):
        write_atomically(note, str(latest))


def check_load_from(cfg: Config) -> None:
    """Raise a :class:`UserError` if ``load_from`` names a missing file."""
    weights = cfg.get('load_from')
    if weights and '://' not in weights and not is_named(weights) and not os.path.isfile(weights):
        near = ', '.join(near_weights(weights))
        raise UserError(
            f'load_from={weights}: file not found. '
            f'{f"Did you mean {near}?" if near else "Name a checkpoint to start from."}'
        )


def show_class_wise(cfg: Config) -> None:
    """Make COCO metrics print the AP of each class, unless the config sets ``classwise``."""
    for key in ('val_evaluator', 'test_evaluator'):
        for metric in coco_metrics_of(cfg, key):
            metric.setdefault('classwise', True)


def coco_metrics(cfg: Config) -> list[Any]:
    """The COCO metrics of the test evaluator.

    Raises:
        UserError: If there is none.
    """
    if metrics := coco_metrics_of(cfg, 'test_evaluator'):
        return metrics
    raise UserError(
        '`out` with .json needs a CocoMetric, but the test_evaluator of the config has none. Name a .pkl file.'
    )


def augment(cfg: Config) -> None:
    """Set up test-time augmentation as in MMDetection's tools/test.py: the image and its flip, merged by NMS."""
    if 'tta_model' not in cfg:
        cfg.tta_model = dict(type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100))
    dataset = base_dataset(cfg, 'test')
    if 'tta_pipeline' not in cfg:
        flips = [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)]
        *transforms, pack = deepcopy(dataset.pipeline)
        if 'meta_keys' in pack:  # the default includes both
            pack.meta_keys = (*pack.meta_keys, 'flip', 'flip_direction')
        cfg.tta_pipeline = [*transforms, dict(type='TestTimeAug', transforms=[flips, [pack]])]
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset.pipeline = cfg.tta_pipeline


def end_early(cfg: Config, patience: int) -> None:
    """End the run after ``patience`` evaluations without a better score.

    Raises:
        UserError: If the config does not evaluate, or ``save_best`` does not name exactly one metric.
    """
    best = cfg.get('default_hooks', {}).get('checkpoint', {}).get('save_best')
    best = best[0] if isinstance(best, (list, tuple)) and len(best) == 1 else best
    if not isinstance(best, str) or not cfg.get('val_dataloader'):
        raise UserError(
            f'patience={patience} needs validation data and one metric in save_best, but {cfg.filename} '
            f'has save_best={best}. Set it: `cfg_options` default_hooks.checkpoint.save_best=auto'
        )
    # The config inside a checkpoint has the hook of its run.
    hooks = [hook for hook in cfg.get('custom_hooks') or [] if hook.get('type') != 'PatienceHook']
    cfg.custom_hooks = [*hooks, dict(type='PatienceHook', patience=patience)]


def set_launcher(cfg: Config) -> None:
    """Set the launcher if torchrun started this process, and a distributed model wrapper that works on a CPU."""
    if cfg.launcher == 'none' and 'TORCHELASTIC_RUN_ID' in os.environ:
        cfg.launcher = 'pytorch'
    if cfg.launcher == 'none' or torch.cuda.is_available():
        return
    # MMEngine would pass the index of a GPU.
    cfg.setdefault(
        'model_wrapper_cfg',
        dict(
            type='MMDistributedDataParallel',
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        ),
    )
    cfg.model_wrapper_cfg.device_ids = None


def cap_workers(cfg: Config) -> str | None:
    """Limit the workers of each data loader to the cores of this process; more would only wait for each other.

    Returns a note of the change, or None if nothing was changed.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    loaders = [
        loader
        for loader in map(cfg.get, ('train_dataloader', 'val_dataloader', 'test_dataloader'))
        if loader and loader.get('num_workers', 0) > cores
    ]
    most = max((loader['num_workers'] for loader in loaders), default=0)
    for loader in loaders:
        loader['num_workers'] = cores
    return f'{cores} instead of {most}, because this process has {cores} cores' if loaders else None
