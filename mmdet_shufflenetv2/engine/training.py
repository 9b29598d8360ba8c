"""One training run, from a config to checkpoints, metrics and a picture of its curves."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, find_latest_checkpoint

from ..durable import make_durable
from ..durable.checkpoint_hook import BEST_CHECKPOINT, is_disk_full
from ..durable.distributed import prepare_processes
from ..durable.newest import newest_whole
from ..durable.resume_command import resume_command
from ..errors import UserError
from ..own_data.class_layers import KeepClassLayersHook
from ..own_data.run import fit_run
from ..own_data.run_flags import fit_warm_up, schedules_of, unfinished_warm_up
from .config import (
    cap_workers,
    check_load_from,
    load_config,
    prepare_data,
    require_entries,
    set_data_root,
    set_resume,
    show_class_wise,
)
from .curves import draw_curves
from .first_screen import FirstScreenHook
from .folders import make_folder
from .progress import quiet_screen
from .quiet_runner import QuietRunner
from .start_weights import StartWeightsHook, download_advice
from .tensorboard import log_for_tensorboard
from .tool import registry_errors

__all__ = ['build_runner', 'train']


def train(config: str | os.PathLike, *, work_dir: str | None = None, data_root: str | None = None, amp: bool = False,
          auto_scale_lr: bool = False, resume: str | None = None, cfg_options: dict[str, Any] | None = None,
          launcher: str = 'none', max_broken_images: int = 10, checkpoint_interval_minutes: float | None = None,
          tensorboard: bool = False, data: str | None = None, **run_flags: Any) -> dict[str, Path]:
    """Train as ``tools/train.py`` does.

    Args:
        config: Config file.
        work_dir: Where checkpoints and logs go; by default ``work_dirs/NAME_OF_CONFIG``.
        data_root: Folder that takes the place of the config's data root.
        amp: Train with automatic mixed precision.
        auto_scale_lr: Scale the learning rate to the batch size (our configs do so by themselves).
        resume: None, ``auto`` for the newest checkpoint of the work dir, or a checkpoint to go on from.
        cfg_options: Config entries to override.
        launcher: How the processes of a distributed run were started.
        max_broken_images: How many images that cannot be read are left out before the run ends.
        checkpoint_interval_minutes: Also save in the middle of an epoch, this often.
        tensorboard: Log for TensorBoard, too.
        data: Folder of a data set of the user's own, in COCO's format or YOLO's, see :mod:`..own_data`.
        run_flags: Arguments of :func:`..own_data.run_flags.set_run_flags`: ``freeze``, ``image_size``, ``batch_size``,
            ``epochs``, ``lr``.

    Returns:
        What was written, by name: ``log``, ``checkpoint``, ``best`` and ``curves``, as far as they are there.

    Raises:
        UserError: If the config, the data or a checkpoint is invalid, or if the disk is full.
        StoppedError: If a signal asked the run to stop; it has been saved.
    """
    cfg = load_config(config, cfg_options, work_dir, launcher)
    require_entries(cfg, 'train_cfg', 'train_dataloader', 'optim_wrapper')
    set_data_root(cfg, data_root, data)
    why_so_long = fit_run(cfg, data, keep_length='train_cfg.max_epochs' in (cfg_options or {}), **run_flags)
    set_resume(cfg, resume)
    check_load_from(cfg)
    show_class_wise(cfg)
    if amp:
        if get_device() == 'cpu':
            raise UserError('--amp needs a GPU, and PyTorch finds none here. Leave it out to train on the CPU.')
        cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    if auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise UserError(f'--auto-scale-lr needs auto_scale_lr = dict(base_batch_size=N) in {config}: the batch '
                            f'size that its learning rate was chosen for.')
        cfg.auto_scale_lr.enable = True
    if tensorboard:
        log_for_tensorboard(cfg)
    if checkpoint_interval_minutes is not None and not 0 < checkpoint_interval_minutes < float('inf'):
        raise UserError(f'--checkpoint-interval-minutes {checkpoint_interval_minutes}: expected a positive number.')
    workers = cap_workers(cfg)
    prepare_data(cfg, 'train', max_broken=max_broken_images, say=data is None)  # else the summary has said it
    prepare_data(cfg, 'val', say=data is None)
    make_folder(cfg.work_dir, '--work-dir')
    prepare_processes(cfg)
    make_durable(cfg, max_broken_images=max_broken_images, checkpoint_interval_minutes=checkpoint_interval_minutes)
    with _disk_errors(cfg.work_dir), download_advice(cfg):
        runner = build_runner(cfg)
        runner.register_hook(StartWeightsHook())
        if cfg.get('load_from') and not cfg.get('resume'):
            # Before averages of the weights are loaded.
            runner.register_hook(KeepClassLayersHook(), priority='VERY_HIGH')
        with registry_errors(), quiet_screen(runner):
            steps = runner.train_loop.max_iters
            schedules = schedules_of(runner.cfg)
            note = (fit_warm_up if data is not None else unfinished_warm_up)(schedules, steps)
            if note and data is not None:
                runner.param_schedulers = copy.deepcopy(runner.cfg.param_scheduler)
                runner.dump_config()
            runner.register_hook(FirstScreenHook(length=why_so_long, schedule=note, workers=workers), priority='LOWEST')
            runner.train()
    written = {'log': runner.log_dir, 'checkpoint': find_latest_checkpoint(cfg.work_dir),
               'best': _best(runner)}
    written = {name: _as_named(path, cfg.work_dir) for name, path in written.items() if path}
    if runner.rank == 0 and (curves := draw_curves(cfg.work_dir)):
        written['curves'] = curves
    return written


def _best(runner: Runner) -> str | None:
    path = runner.message_hub.runtime_info.get('best_ckpt')
    same = path and os.path.join(os.path.dirname(path), BEST_CHECKPOINT)
    return same if same and os.path.isfile(same) and os.path.isfile(path) and os.path.samefile(same, path) else path


def _as_named(path: str, work_dir: str) -> Path:
    """A path in the work dir as the user named that; MMEngine makes both absolute."""
    absolute = os.path.abspath(work_dir)
    return Path(work_dir) / Path(path).relative_to(absolute) if Path(path).is_relative_to(absolute) else Path(path)


@contextmanager
def _disk_errors(work_dir: str) -> Iterator[None]:
    """Say that the disk is full also where it is not a checkpoint that does not fit."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise UserError(f'The disk is full: {error}. The latest intact checkpoint is {newest_whole(work_dir)}. Make '
                        f'room, and go on with: {resume_command()}') from error


def build_runner(cfg: Config) -> Runner:
    """The config's runner.

    Raises:
        UserError: If the config names something unknown or with the wrong arguments.
    """
    # Under the one name that MMDetection's configs give it, a second run in a process would get the first run's
    # visualizer and log into its folder; without a name it is the experiment's.
    if 'visualizer' in cfg:
        cfg.visualizer.pop('name', None)
    with registry_errors():
        return RUNNERS.build(cfg) if 'runner_type' in cfg else QuietRunner.from_cfg(cfg)
