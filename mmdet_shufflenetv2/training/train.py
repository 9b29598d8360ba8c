"""Run a training: from a config to checkpoints, metrics and a plot of its curves."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner, find_latest_checkpoint

from ..checkpoints.latest import latest_valid_checkpoint
from ..compat.registry_errors import registry_errors
from ..compat.screen import Screen, quiet_screen
from ..config.access import is_detector
from ..config.options import TrainOptions
from ..config.resolve import resolve
from ..config.run_flags import fit_warm_up, schedules_of, unfinished_warm_up
from ..config.runner import build_runner
from ..data.checks import prepare_data
from ..models.class_layers import ReinitClassLayersHook
from ..utils.errors import UserError
from ..utils.files import make_folder
from ..utils.options import takes_options
from ..visualization.curves import draw_curves
from .curves import CurvesHook
from .fault_tolerance.checkpoint_hook import BEST_CHECKPOINT, is_disk_full
from .fault_tolerance.distributed import join_processes
from .fault_tolerance.resume_command import resume_command
from .first_screen import FirstScreenHook
from .progress import ProgressHook
from .samples import SampleImagesHook
from .start_weights import StartWeightsHook, download_advice

__all__ = ['train']


@takes_options(TrainOptions)
def train(options: TrainOptions) -> dict[str, Path]:
    """Train a model: ``train(TrainOptions(config, epochs=20))``, or ``train(config, epochs=20)``.

    Returns:
        The written files and folders by name: ``log``, ``checkpoint``, ``best``, ``curves`` and ``samples``. Missing
        ones are left out.

    Raises:
        UserError: If the config, the data or a checkpoint is invalid, or if the disk is full.
        StoppedError: If a signal stopped the run. Its state is saved.
    """
    with quiet_screen() as screen:
        cfg, notes = resolve(options)
        say = options.data is None  # otherwise the summary has these notes
        prepare_data(cfg, 'train', max_broken=options.max_broken_images, say=say)
        prepare_data(cfg, 'val', say=say)
        make_folder(cfg.work_dir, 'work_dir')
        join_processes(cfg)
        with _disk_errors(cfg.work_dir), download_advice(cfg):
            runner = _build(cfg)
            with registry_errors(), _progress(runner, screen):
                notes |= _fit_schedules(runner, is_own_data=options.data is not None)
                runner.register_hook(FirstScreenHook(**notes), priority='LOWEST')
                runner.train()
        return _written(runner, cfg.work_dir)


def _build(cfg: Config) -> Runner:
    runner = build_runner(cfg)
    runner.register_hook(StartWeightsHook())
    runner.register_hook(CurvesHook(), priority='LOWEST')  # after the metrics are logged
    if cfg.get('val_dataloader') and is_detector(cfg):
        runner.register_hook(SampleImagesHook())
    if cfg.get('load_from') and not cfg.get('resume'):
        # Runs before averaged weights are loaded.
        runner.register_hook(ReinitClassLayersHook(), priority='VERY_HIGH')
    return runner


@contextmanager
def _progress(runner: Runner, screen: Screen) -> Iterator[None]:
    progress = ProgressHook(screen)
    if runner.rank == 0:
        runner.register_hook(progress, priority='LOWEST')
    try:
        yield
    finally:
        progress.close()


def _fit_schedules(runner: Runner, is_own_data: bool) -> dict[str, str]:
    """Shorten a warm-up that is too long for the run, whose number of steps is known now."""
    schedules = schedules_of(runner.cfg)
    note = (fit_warm_up if is_own_data else unfinished_warm_up)(schedules, runner.train_loop.max_iters)
    if note and is_own_data:
        runner.param_schedulers = copy.deepcopy(runner.cfg.param_scheduler)
        runner.dump_config()
    return {'schedule': note} if note else {}


def _written(runner: Runner, work_dir: str) -> dict[str, Path]:
    paths = {'log': runner.log_dir, 'checkpoint': find_latest_checkpoint(work_dir), 'best': _best(runner)}
    written = {name: _as_named(path, work_dir) for name, path in paths.items() if path}
    if runner.rank == 0 and (curves := draw_curves(work_dir)):
        written['curves'] = curves
    if (samples := Path(work_dir) / 'samples').is_dir():
        written['samples'] = samples
    return written


def _best(runner: Runner) -> str | None:
    path = runner.message_hub.runtime_info.get('best_ckpt')
    same = path and os.path.join(os.path.dirname(path), BEST_CHECKPOINT)
    return same if same and os.path.isfile(same) and os.path.isfile(path) and os.path.samefile(same, path) else path


def _as_named(path: str, work_dir: str) -> Path:
    """A path relative to the work dir as the user named it. MMEngine makes paths absolute."""
    absolute = os.path.abspath(work_dir)
    return Path(work_dir) / Path(path).relative_to(absolute) if Path(path).is_relative_to(absolute) else Path(path)


@contextmanager
def _disk_errors(work_dir: str) -> Iterator[None]:
    """Turn a full disk into a user error for all other files than checkpoints, too."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise UserError(
            f'The disk is full: {error}. Last valid checkpoint: {latest_valid_checkpoint(work_dir)}. Free some space, '
            f'and continue with: {resume_command()}'
        ) from error
