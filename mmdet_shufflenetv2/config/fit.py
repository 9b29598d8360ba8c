"""Adapt a config to the user's data or to those of a checkpoint, for training and evaluation."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader

from ..checkpoints.metadata import checkpoint_meta
from ..data.layouts.description import UserDataset
from ..data.layouts.find import read_user_dataset
from ..data.pipelines import base_dataset
from ..data.prepared import load_prepared, prepare_user_dataset
from ..data.summary import summary
from ..models.class_layers import has_same_num_classes
from ..utils.errors import UserError
from .access import is_detector, require_detector
from .augmentation import set_augmentation, set_multi_scale
from .batch_memory import fit_batch_to_memory
from .box_sizes import fit_image_size
from .checkpoint_meta import apply_checkpoint_metadata, config_meta
from .class_balance import balance_classes
from .classes import apply_prepared_data, class_heads
from .options import TrainOptions
from .own_recipe import fit_evaluations, fit_recipe, largest_batch
from .run_flags import set_run_flags
from .start import fit_assignment, start_from_published, start_weights

__all__ = ['fit_data', 'fit_run', 'follow_run']


def fit_run(cfg: Config, options: TrainOptions) -> dict[str, str]:
    """Adapt a config to a training: apply its options, then its data. ``cfg`` is changed in place.

    Returns:
        What was chosen by default and why, see :func:`.fit_recipe`.

    Raises:
        UserError: If data or flags are invalid.
    """
    batch_size = options.batch_size if isinstance(options.batch_size, int) else None
    fits_memory = options.batch_size == 'auto'
    set_run_flags(
        cfg,
        freeze=options.freeze,
        image_size=options.image_size,
        batch_size=batch_size,
        epochs=options.epochs,
        lr=options.lr,
    )
    if options.augmentation is not None:
        set_augmentation(cfg, options.augmentation)
    if options.multi_scale is not None:
        set_multi_scale(cfg, options.multi_scale)
    if options.data is None:
        notes = fit_assignment(cfg, options, start_weights(cfg))
        return notes | (fit_batch_to_memory(cfg, options.lr) if fits_memory else {})
    own = fit_data(cfg, options.data)
    notes = start_from_published(cfg, options)
    weights = start_weights(cfg)
    notes |= fit_assignment(cfg, options, weights)
    train = own.splits['train'].annotations
    images = len(train['images'])
    notes |= fit_image_size(cfg, train, options)
    notes |= balance_classes(cfg, train, options.class_balance)
    if fits_memory:
        notes |= fit_batch_to_memory(cfg, options.lr, largest_batch(images))
    notes |= fit_recipe(cfg, images, options, weights)
    if 'train_cfg.val_interval' not in (options.cfg_options or {}):
        notes |= fit_evaluations(cfg, images, len(own.splits['val'].annotations['images']))
    # So that there is a best checkpoint for other commands.
    checkpoint = cfg.setdefault('default_hooks', {}).setdefault('checkpoint', dict(type='CheckpointHook', interval=1))
    checkpoint.setdefault('save_best', 'coco/bbox_mAP')
    if int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', 0))) == 0:
        print(summary(own))
    return notes


def fit_data(cfg: Config, data: str) -> UserDataset:
    """Set the data of a config to a folder in a format of :func:`.read_user_dataset`. Returns the data set."""
    require_detector(cfg, '`data` is for detectors')
    own = read_user_dataset(data)
    apply_prepared_data(cfg, prepare_user_dataset(own, cfg.work_dir))
    return own


def follow_run(cfg: Config, checkpoint: str, data: str | None = None, look_for_data: bool = True) -> None:
    """Adapt a config to an evaluation: set classes, image size and data of a checkpoint's run.

    Args:
        cfg: Changed in place.
        checkpoint: File or address of a checkpoint.
        data: Folder of other data of the same classes, in a format of :func:`.read_user_dataset`.
        look_for_data: Whether to use the data of the run, which are recorded in the checkpoint's folder.

    Raises:
        UserError: If checkpoint or data are invalid.
    """
    if data is not None:
        require_detector(cfg, '`data` is for detectors')
    elif not is_detector(cfg):  # classes of a classifier are folders
        return
    loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    loaded = loaded if isinstance(loaded, dict) else {}
    register_all_modules(init_default_scope=True)  # the config's data sets are built to be asked for their classes
    if data is not None:
        own = read_user_dataset(data)
        classes = _detectors_classes(cfg, loaded) or own.classes
        apply_prepared_data(cfg, prepare_user_dataset(own, cfg.work_dir, classes, training=False))
        print(summary(own))
    elif look_for_data and (prepared := load_prepared(Path(checkpoint).parent)):
        apply_prepared_data(cfg, prepared)
    elif look_for_data:
        _require_data(cfg, checkpoint, checkpoint_meta(loaded))
    apply_checkpoint_metadata(cfg, loaded)


def _require_data(cfg: Config, checkpoint: str, meta: dict[str, Any]) -> None:
    """Raise a :class:`UserError` if a checkpoint on a user's data was moved, so that their path is unknown."""
    dataset = base_dataset(cfg, 'test')
    ann_file = os.path.join(dataset.get('data_root') or '', str(dataset.get('ann_file') or ''))
    if meta.get('set') and not os.path.isfile(ann_file):
        few = ', '.join(meta['classes'][:5]) + (', ...' if len(meta['classes']) > 5 else '')
        raise UserError(
            f'{checkpoint} was trained on your own data ({few}), but is not in the folder of its run, and '
            f'{ann_file} is missing. Name the data: data=DIR'
        )


def _detectors_classes(cfg: Config, loaded: dict[str, Any]) -> tuple[str, ...] | None:
    """Class names of a checkpoint: its own, or those of the config if their number matches; None if unknown."""
    if known := checkpoint_meta(loaded).get('classes'):
        return known
    names = config_meta(cfg).get('classes') or ()
    heads = {head['num_classes'] for head in class_heads(cfg.model) if head.get('num_classes')}
    if heads <= {len(names)} and has_same_num_classes(cfg.model, loaded):
        return tuple(names)
    print(
        'note: the checkpoint has no class names. The names of the data are used, in their order.',
        file=sys.stderr,
    )
    return None
