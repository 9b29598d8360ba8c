"""From options to one config: load it, then apply all edits in order.

Afterwards nothing edits the config, with two exceptions that depend on later results: a schedule in steps is adapted
when the built runner knows the number of steps (:mod:`..training.train`), and the metrics are removed when the test
data turn out to have no annotations (:mod:`..evaluation.evaluate`).
"""

from __future__ import annotations

import os
from typing import NamedTuple

from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmengine.config import Config
from mmengine.device import get_device

from ..data.summary import summary
from ..utils.errors import UserError
from ..utils.files import make_folder
from . import edits
from .access import require_detector, require_entries
from .fault_tolerance import add_fault_tolerance
from .fit import fit_data, fit_run, follow_run
from .load import load_checkpoint_config, load_config
from .options import BrowseOptions, EvaluateOptions, TrainOptions
from .start import start_from_checkpoint
from .trackers import add_trackers, drop_trackers, require_trackers
from .validation_loss import add_validation_loss

__all__ = ['Resolved', 'resolve']


class Resolved(NamedTuple):
    """A config with all edits, and notes for the user."""

    cfg: Config
    #: What was chosen and why, by subject: ``length``, ``workers``, ...
    notes: dict[str, str]


def resolve(options: TrainOptions | EvaluateOptions | BrowseOptions) -> Resolved:
    """Load the config of a command's options and apply all their edits.

    Raises:
        UserError: If the config is invalid, or an option does not match it.
    """
    work_dir = options.out_dir if isinstance(options, BrowseOptions) else options.work_dir
    launcher = getattr(options, 'launcher', 'none')
    cfg = (
        load_config(options.config, options.cfg_options, work_dir, launcher)
        if options.config is not None
        else load_checkpoint_config(options.checkpoint, options.cfg_options, work_dir, launcher)
    )
    if isinstance(options, TrainOptions):
        return Resolved(cfg, _for_training(cfg, options))
    if isinstance(options, EvaluateOptions):
        _for_evaluation(cfg, options)
    else:
        _for_sheets(cfg, options)
    return Resolved(cfg, {})


def _for_training(cfg: Config, options: TrainOptions) -> dict[str, str]:
    require_entries(cfg, 'train_cfg', 'train_dataloader', 'optim_wrapper')
    add_trackers(cfg, options.tracker)
    require_trackers(cfg)
    edits.set_data_root(cfg, options.data_root, options.data)
    start_from_checkpoint(cfg, options)
    edits.set_resume(cfg, options.resume)
    edits.check_load_from(cfg)
    notes = fit_run(cfg, options)
    edits.show_class_wise(cfg)
    if options.patience is not None:
        edits.end_early(cfg, options.patience)
    if options.amp:
        _mix_precisions(cfg)
    if options.auto_scale_lr:
        _scale_learning_rate(cfg, options.config)
    workers = edits.cap_workers(cfg)
    edits.set_launcher(cfg)
    if options.val_loss:
        add_validation_loss(cfg)
    add_fault_tolerance(
        cfg,
        max_broken_images=options.max_broken_images,
        checkpoint_interval_minutes=options.checkpoint_interval_minutes,
    )
    return notes | ({'workers': workers} if workers else {})


def _for_evaluation(cfg: Config, options: EvaluateOptions) -> None:
    require_entries(cfg, 'test_cfg', 'test_dataloader', 'test_evaluator')
    if options.config is None:  # the config inside the checkpoint has the trackers of its training
        drop_trackers(cfg)
    require_trackers(cfg)
    if options.out or options.show or options.show_dir or options.tta:
        require_detector(cfg, '`out`, `show`, `show_dir` and `tta` are about boxes')
    edits.set_data_root(cfg, options.data_root, options.data)
    edits.show_class_wise(cfg)
    follow_run(cfg, str(options.checkpoint), options.data, look_for_data=options.data_root is None)
    cfg.load_from = None  # every weight of the checkpoint is loaded, strictly
    # The weights in a checkpoint are averaged already, and the hook does not support a converted model.
    cfg.custom_hooks = [hook for hook in cfg.get('custom_hooks') or [] if not str(hook.get('type')).endswith('EMAHook')]
    if options.show or options.show_dir:
        trigger_visualization_hook(cfg, options)
        if cfg.get('visualizer', {}).get('type') == 'DetLocalVisualizer':  # not a custom one
            cfg.visualizer.type = 'BoxVisualizer'
    if options.tta:
        edits.augment(cfg)
    if options.out and os.path.splitext(options.out)[1] == '.json':
        edits.coco_metrics(cfg)[0].outfile_prefix = os.path.splitext(options.out)[0]


def _for_sheets(cfg: Config, options: BrowseOptions) -> None:
    edits.set_data_root(cfg, options.data_root, options.data)
    require_detector(cfg, 'Sheets show boxes')
    if not cfg.get(f'{options.split}_dataloader'):
        raise UserError(f'{options.config} has no {options.split}_dataloader.')
    if options.data is not None:
        make_folder(options.out_dir, 'out_dir')
        print(summary(fit_data(cfg, options.data)))


def _mix_precisions(cfg: Config) -> None:
    if get_device() == 'cpu':
        raise UserError('amp=True needs a GPU, but PyTorch finds none. Remove it to train on the CPU.')
    cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')


def _scale_learning_rate(cfg: Config, path: str) -> None:
    if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
        raise UserError(
            f'auto_scale_lr=True needs base_batch_size, but {path} does not set it. Add auto_scale_lr = '
            f'dict(base_batch_size=N), where N is the batch size of its learning rate.'
        )
    cfg.auto_scale_lr.enable = True
