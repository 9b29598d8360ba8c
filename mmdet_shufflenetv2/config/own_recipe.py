"""What a run on the user's own data is like where no option says it: it fits the number of images."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader

from ..checkpoints.download import DownloadError
from ..checkpoints.named import WEIGHTS, fetch_weights
from ..checkpoints.nanodet_layout import has_guidance
from ..checkpoints.unwrap import find_weights
from ..models.class_layers import has_same_num_classes
from ..utils.errors import UserError
from .options import TrainOptions
from .plain import parse_config_text
from .project import project_config
from .run_flags import scale_rate, set_batch_size, set_epochs

__all__ = ['fit_assignment', 'fit_recipe']

#: About so many steps, and so many epochs at least and at most.
_STEPS, _FEWEST, _MOST = 3000, 12, 100
#: An epoch has so many steps at least, where no more than so few images a step are needed for it.
_STEPS_AN_EPOCH, _SMALLEST_BATCH = 20, 8
#: Averages of the weights reach over one step in so many.
_AVERAGED_SHARE = 20
#: Part of the learning rate by which weights are refined that know the classes.
_REFINING = 0.1


def fit_recipe(cfg: Config, images: int, options: TrainOptions) -> dict[str, str]:
    """Choose weights, batch size, learning rate, length and averages for so many images to train on.

    What an option names, also among ``cfg_options``, stays as it is.

    Args:
        cfg: Changed in place; the data are set already.
        images: How many images it trains on.
        options: Of the run.

    Returns:
        What was chosen and why, by the names of the first screen's lines.
    """
    given = options.cfg_options or {}
    notes = {} if cfg.get('load_from') or 'load_from' in given else _start_from_published(cfg)
    weights = _start_weights(cfg)
    if options.batch_size is None and 'train_dataloader.batch_size' not in given:
        notes |= _fit_batch_size(cfg, images)
    if options.lr is None and not any(key.startswith('optim_wrapper') for key in given):
        notes |= _fit_rate(cfg, weights)
    if not cfg.train_cfg.get('max_epochs'):
        return notes  # counts iterations and keeps them
    steps = math.ceil(images / _images_per_step(cfg))
    if options.epochs is None and 'train_cfg.max_epochs' not in given:
        set_epochs(cfg, min(max(_STEPS // steps, _FEWEST), _MOST))
        notes['length'] = f'chosen for {images} images; epochs=N changes it'
    if not any(key.startswith('custom_hooks') for key in given):
        notes |= _fit_averages(cfg, steps * cfg.train_cfg.max_epochs)
    return notes


def _start_from_published(cfg: Config) -> dict[str, str]:
    """Start one of this project's detectors from the weights that are published for it."""
    for name, weights in WEIGHTS.items():
        if weights.variant and cfg.filename and Path(cfg.filename).resolve() == project_config(weights.config):
            try:
                fetch_weights(name)
            except DownloadError as error:
                raise UserError(f'{error} Or start without them: `cfg_options` load_from=None') from error
            cfg.load_from = name
            return dict(start=f'from the published weights {name}; `cfg_options` load_from=None does without them')
    return {}


def _fit_batch_size(cfg: Config, images: int) -> dict[str, str]:
    """With few images, no more a step than give an epoch some steps."""
    old = cfg.train_dataloader.get('batch_size', 1)
    batch = min(old, max(images // _STEPS_AN_EPOCH, _SMALLEST_BATCH))
    if batch == old:
        return {}
    set_batch_size(cfg, batch)
    return dict(batch=f'in place of {old}, chosen for {images} images; batch_size=N changes it')


def _images_per_step(cfg: Config) -> int:
    return cfg.train_dataloader.get('batch_size', 1) * int(os.environ.get('WORLD_SIZE', 1))


def _fit_rate(cfg: Config, weights: dict[str, Any] | None) -> dict[str, str]:
    """Leave Adam's learning rate as it is, whose steps do not grow with the images per step as those of SGD may.

    Weights that know the classes already are refined by smaller steps.
    """
    scaling, optimizer = cfg.get('auto_scale_lr') or {}, cfg.optim_wrapper.get('optimizer') or {}
    if not scaling.get('enable') or not str(optimizer.get('type')).startswith('Adam'):
        return {}
    cfg.auto_scale_lr = dict(scaling, enable=False)
    if cfg.get('resume'):  # as the run began
        if text := ((weights or {}).get('meta') or {}).get('cfg'):
            scale_rate(cfg, parse_config_text(text, Path(cfg.load_from)).optim_wrapper.optimizer.lr / optimizer.lr)
        return {}
    if weights is None or not has_same_num_classes(cfg.model, weights):
        return {'learning rate': f"the config's, which {optimizer['type']} needs not scale; lr=X changes it"}
    scale_rate(cfg, _REFINING)
    return {'learning rate': f"{_REFINING} of the config's, as the weights know these classes; lr=X changes it"}


def _fit_averages(cfg: Config, steps: int) -> dict[str, str]:
    """Let averages of the weights forget what lies further back than a part of the run."""
    horizon = max(steps // _AVERAGED_SHARE, 1)
    notes = {}
    for hook in cfg.get('custom_hooks') or []:
        if hook.get('type') == 'EMAHook' and hook.get('momentum', 0.0002) < 1 / horizon:
            hook['momentum'] = 1 / (horizon + 1)
            if 'gamma' in hook:
                hook['gamma'] = min(hook['gamma'], horizon)
            notes['average'] = f'of the weights over about the last {horizon} of {steps} steps'
    return notes


def fit_assignment(cfg: Config, options: TrainOptions) -> dict[str, str]:
    """Leave out NanoDet-Plus's guidance where the weights to start from can do better than a new one.

    Arguments and result are those of :func:`fit_recipe`, whatever the data.
    """
    train_cfg: Any = cfg.model.get('train_cfg') or {}
    named = any(key.startswith('model.train_cfg') for key in options.cfg_options or {})
    weights = _start_weights(cfg) if train_cfg.get('assign_guidance') and not named else None
    if weights is None or has_guidance(find_weights(weights)):
        return {}
    train_cfg.assign_guidance = None
    return dict(assignment="by the detector's own predictions: the weights come without the guidance of their training")


def _start_weights(cfg: Config) -> dict[str, Any] | None:
    """The checkpoint to start from, where it holds a whole detector."""
    loaded = CheckpointLoader.load_checkpoint(cfg.load_from, map_location='cpu') if cfg.get('load_from') else None
    whole = isinstance(loaded, dict) and any('head.' in str(key) for key in find_weights(loaded))
    return loaded if whole else None  # loading says what is wrong
