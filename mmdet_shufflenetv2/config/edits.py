"""The short edits of a config; each changes ``cfg`` in place and nothing else."""

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

__all__ = ['augment', 'cap_workers', 'check_load_from', 'coco_metrics', 'end_early', 'set_data_root', 'set_launcher',
           'set_resume', 'show_class_wise']


def set_data_root(cfg: Config, root: str | None, data: str | None = None) -> None:
    """Lay ``data_root`` over the config: every data set and metric reads there what it read in its own root.

    Args:
        cfg: Changed in place.
        root: A folder in the layout of the one that the config names; None changes nothing.
        data: The user's own data, which leave nothing of the config's to be read.

    Raises:
        UserError: If it is no folder, or if both are given.
    """
    if root is None:
        return
    if data is not None:
        raise UserError(f'data={data} and data_root={root} both name the data: leave one of them out. `data` is '
                        f'for data of your own, `data_root` for those that the config is for.')
    if not os.path.isdir(root):
        raise UserError(f'data_root={root} is no folder.')
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
    """Lay ``resume`` over the config: nothing, ``auto`` (the latest intact checkpoint of the work dir) or a file."""
    if resume is None:
        return
    if resume == 'auto':
        newest = latest_valid_checkpoint(cfg.work_dir)
        if newest is None:
            print(f'There is no checkpoint in {cfg.work_dir} yet: training starts at the beginning.')
            return
        resume = str(newest)
        _note_newest(newest)
    if not os.path.isfile(resume):
        raise UserError(f'There is no checkpoint {resume} to resume from. Name a file such as '
                        f'{cfg.work_dir}/epoch_3.pth, or leave the name out to take the newest of {cfg.work_dir}.')
    cfg.resume, cfg.load_from = True, resume


def _note_newest(newest: Path) -> None:
    """Have MMEngine's note of the newest checkpoint name a whole one, also where the newest of all is torn."""
    note = newest.parent / LAST_CHECKPOINT
    if int(os.environ.get('RANK', 0)) == 0 and not (note.is_file() and note.read_text() == str(newest)):
        write_atomically(note, str(newest))


def check_load_from(cfg: Config) -> None:
    """Raise a :class:`UserError` where the weights to start from are a file that is missing."""
    weights = cfg.get('load_from')
    if weights and '://' not in weights and not is_named(weights) and not os.path.isfile(weights):
        near = ', '.join(near_weights(weights))
        raise UserError(f'load_from={weights}: there is no such file. '
                        f'{f"Did you mean {near}?" if near else "Name a checkpoint to start from."}')


def show_class_wise(cfg: Config) -> None:
    """Have COCO metrics print the AP of each class unless the config decides otherwise."""
    for key in ('val_evaluator', 'test_evaluator'):
        for metric in coco_metrics_of(cfg, key):
            metric.setdefault('classwise', True)


def coco_metrics(cfg: Config) -> list[Any]:
    if metrics := coco_metrics_of(cfg, 'test_evaluator'):
        return metrics
    raise UserError('`out` with .json writes COCO results, and the config evaluates with no CocoMetric.')


def augment(cfg: Config) -> None:
    """Set test-time augmentation as in MMDetection's tools/test.py: the image and its mirror image, merged by NMS."""
    if 'tta_model' not in cfg:
        cfg.tta_model = dict(
            type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100))
    dataset = base_dataset(cfg, 'test')
    if 'tta_pipeline' not in cfg:
        flips = [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)]
        *transforms, pack = deepcopy(dataset.pipeline)
        if 'meta_keys' in pack:  # else it packs both by itself
            pack.meta_keys = (*pack.meta_keys, 'flip', 'flip_direction')
        cfg.tta_pipeline = [*transforms, dict(type='TestTimeAug', transforms=[flips, [pack]])]
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset.pipeline = cfg.tta_pipeline


def end_early(cfg: Config, patience: int) -> None:
    """End the run after so many evaluations without a better score, that of ``best.pth``.

    Raises:
        UserError: If the config does not evaluate, or no one metric decides which checkpoint is the best.
    """
    best = cfg.get('default_hooks', {}).get('checkpoint', {}).get('save_best')
    best = best[0] if isinstance(best, (list, tuple)) and len(best) == 1 else best
    if not isinstance(best, str) or not cfg.get('val_dataloader'):
        raise UserError(f'patience={patience} needs evaluations and one metric that says which checkpoint is the best, '
                        f'and {cfg.filename} has save_best={best}. Name one: `cfg_options` '
                        f'default_hooks.checkpoint.save_best=auto')
    # A checkpoint's own config has the hook of its run.
    hooks = [hook for hook in cfg.get('custom_hooks') or [] if hook.get('type') != 'PatienceHook']
    cfg.custom_hooks = [*hooks, dict(type='PatienceHook', patience=patience)]


def set_launcher(cfg: Config) -> None:
    """Choose the launcher where torchrun has started this process, and a wrapper of the model that a CPU can have."""
    if cfg.launcher == 'none' and 'TORCHELASTIC_RUN_ID' in os.environ:
        cfg.launcher = 'pytorch'
    if cfg.launcher == 'none' or torch.cuda.is_available():
        return
    # MMEngine would pass the number of a GPU.
    cfg.setdefault('model_wrapper_cfg', dict(
        type='MMDistributedDataParallel', broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False)))
    cfg.model_wrapper_cfg.device_ids = None


def cap_workers(cfg: Config) -> str | None:
    """Let no data loader have more workers than this process has cores: they would only wait for one another.

    Returns what was changed; None where nothing was.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    loaders = [loader for loader in map(cfg.get, ('train_dataloader', 'val_dataloader', 'test_dataloader'))
               if loader and loader.get('num_workers', 0) > cores]
    most = max((loader['num_workers'] for loader in loaders), default=0)
    for loader in loaders:
        loader['num_workers'] = cores
    return f'{cores} in place of {most}, as there are {cores} cores' if loaders else None
