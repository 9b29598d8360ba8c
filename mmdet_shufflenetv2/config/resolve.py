"""From what a user asked for to one config: the config is read, then edited by a list of functions, in order.

Each edit is one function; what it changes, it changes nowhere else. Two things can be told only later and are set then:
a schedule in steps, when the built runner knows how many there are (:mod:`..training.train`), and an evaluation without
metrics, when the test data turn out to have no annotations (:mod:`..evaluation.evaluate`).
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from typing import Any, NamedTuple

from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmengine.config import Config
from mmengine.device import get_device

from ..data.summary import summary
from ..utils.errors import UserError
from ..utils.files import make_folder
from .access import require_detector, require_entries
from .edits import (
    augment,
    cap_workers,
    check_load_from,
    coco_metrics,
    log_for_tensorboard,
    set_data_root,
    set_launcher,
    set_resume,
    show_class_wise,
)
from .fault_tolerance import add_fault_tolerance
from .fit import fit_data, fit_run, follow_run
from .load import load_checkpoint_config, load_config
from .options import BrowseOptions, EvaluateOptions, TrainOptions

__all__ = ['Resolved', 'resolve']

Options = TrainOptions | EvaluateOptions | BrowseOptions


class Resolved(NamedTuple):
    """A config with every edit made, and what a person should be told about it."""

    cfg: Config
    #: What was chosen, by subject: ``length``, ``workers``.
    notes: dict[str, str]


def resolve(options: Options) -> Resolved:
    """Read the config that the options name and make every edit that they ask for.

    Args:
        options: Of a training, an evaluation or a look at the data.

    Raises:
        UserError: If the config is invalid, or an option does not fit it.
    """
    work_dir = options.out_dir if isinstance(options, BrowseOptions) else options.work_dir
    launcher = getattr(options, 'launcher', 'none')
    cfg = (load_config(options.config, options.cfg_options, work_dir, launcher) if options.config is not None else
           load_checkpoint_config(options.checkpoint, options.cfg_options, work_dir, launcher))
    notes: dict[str, str] = {}
    for edit in EDITS[type(options)]:
        notes |= edit(cfg, options) or {}
    return Resolved(cfg, notes)


def _require_training(cfg: Config, options: TrainOptions) -> None:
    require_entries(cfg, 'train_cfg', 'train_dataloader', 'optim_wrapper')


def _require_evaluation(cfg: Config, options: EvaluateOptions) -> None:
    require_entries(cfg, 'test_cfg', 'test_dataloader', 'test_evaluator')
    if options.out or options.show or options.show_dir or options.tta:
        require_detector(cfg, '`out`, `show`, `show_dir` and `tta` are about boxes')


def _require_boxes(cfg: Config, options: BrowseOptions) -> None:
    require_detector(cfg, 'Sheets show the boxes of a detector')
    if not cfg.get(f'{options.split}_dataloader'):
        raise UserError(f'{options.config} has no {options.split}_dataloader.')


def _data_root(cfg: Config, options: Options) -> None:
    set_data_root(cfg, options.data_root, options.data)


def _data_and_schedule(cfg: Config, options: TrainOptions) -> dict[str, str]:
    why = fit_run(cfg, options.data, keep_length='train_cfg.max_epochs' in (options.cfg_options or {}),
                  freeze=options.freeze, image_size=options.image_size, batch_size=options.batch_size,
                  epochs=options.epochs, lr=options.lr)
    return {'length': why} if why else {}


def _data_of_the_run(cfg: Config, options: EvaluateOptions) -> None:
    follow_run(cfg, str(options.checkpoint), options.data, look_for_data=options.data_root is None)


def _own_data(cfg: Config, options: BrowseOptions) -> None:
    if options.data is not None:
        make_folder(options.out_dir, 'out_dir')
        print(summary(fit_data(cfg, options.data)))


def _weights(cfg: Config, options: TrainOptions) -> None:
    set_resume(cfg, options.resume)
    check_load_from(cfg)


def _no_weights(cfg: Config, options: EvaluateOptions) -> None:
    cfg.load_from = None  # every weight of the checkpoint is loaded, strictly


def _class_wise(cfg: Config, options: Options) -> None:
    show_class_wise(cfg)


def _precision(cfg: Config, options: TrainOptions) -> None:
    if options.amp:
        if get_device() == 'cpu':
            raise UserError('amp=True needs a GPU, and PyTorch finds none here. Leave it out to train on the CPU.')
        cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')


def _learning_rate(cfg: Config, options: TrainOptions) -> None:
    if options.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise UserError(f'auto_scale_lr=True needs auto_scale_lr = dict(base_batch_size=N) in {options.config}: '
                            f'the batch size that its learning rate was chosen for.')
        cfg.auto_scale_lr.enable = True


def _tensorboard(cfg: Config, options: TrainOptions) -> None:
    if options.tensorboard:
        log_for_tensorboard(cfg)


def _workers(cfg: Config, options: TrainOptions) -> dict[str, str]:
    note = cap_workers(cfg)
    return {'workers': note} if note else {}


def _launcher(cfg: Config, options: TrainOptions) -> None:
    set_launcher(cfg)


def _fault_tolerance(cfg: Config, options: TrainOptions) -> None:
    add_fault_tolerance(cfg, max_broken_images=options.max_broken_images,
                 checkpoint_interval_minutes=options.checkpoint_interval_minutes)


def _figures(cfg: Config, options: EvaluateOptions) -> None:
    if options.show or options.show_dir:
        trigger_visualization_hook(cfg, Namespace(
            show=options.show, show_dir=options.show_dir, wait_time=options.wait_time))
        if cfg.get('visualizer', {}).get('type') == 'DetLocalVisualizer':  # not one of the user's own
            cfg.visualizer.type = 'BoxVisualizer'


def _tta(cfg: Config, options: EvaluateOptions) -> None:
    if options.tta:
        augment(cfg)


def _outputs(cfg: Config, options: EvaluateOptions) -> None:
    if options.out and os.path.splitext(options.out)[1] == '.json':
        coco_metrics(cfg)[0].outfile_prefix = os.path.splitext(options.out)[0]


Edit = Callable[[Config, Any], dict[str, str] | None]
EDITS: dict[type, tuple[Edit, ...]] = {
    TrainOptions: (
        _require_training, _data_root, _data_and_schedule, _weights, _class_wise, _precision, _learning_rate,
        _tensorboard, _workers, _launcher, _fault_tolerance),
    EvaluateOptions: (
        _require_evaluation, _data_root, _class_wise, _data_of_the_run, _no_weights, _figures, _tta, _outputs),
    BrowseOptions: (_data_root, _require_boxes, _own_data),
}
