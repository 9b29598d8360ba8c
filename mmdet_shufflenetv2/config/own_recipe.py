"""Defaults of a training on the user's own data, chosen by the number of images."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device

from ..checkpoints.metadata import checkpoint_meta
from ..data.pipelines import base_dataset
from ..models.class_layers import has_same_num_classes
from .options import TrainOptions
from .plain import parse_config_text
from .run_flags import scale_rate, set_batch_size, set_epochs

__all__ = ['fit_evaluations', 'fit_recipe', 'largest_batch']

#: Approximate number of steps on a GPU and on a CPU (which is slower), and minimum and maximum number of epochs.
_STEPS, _STEPS_ON_CPU, _FEWEST, _MOST = 3000, 600, 12, 100
#: Minimum number of steps per epoch, unless the batch size would fall below the minimum.
_STEPS_AN_EPOCH, _SMALLEST_BATCH = 40, 8
#: The moving average of the weights covers the last 1 / 20 of the steps.
_AVERAGED_SHARE = 20
#: To refine weights that already detect the classes: factor of the learning rate, lower factor for few images (a higher
#: one would reduce the AP), below which number of images, and number of steps.
_REFINING, _REFINING_FEW, _FEW, _REFINING_STEPS = 0.1, 0.01, 500, 84
#: Number of training images per evaluated image: evaluation then takes about a tenth of the time.
_TRAINED_PER_EVALUATED = 5


def fit_recipe(
    cfg: Config, images: int, options: TrainOptions, weights: dict[str, Any] | None = None
) -> dict[str, str]:
    """Choose batch size, learning rate, number of epochs and weight averaging for a number of training images.

    Settings of options, including ``cfg_options``, are not changed.

    Args:
        cfg: Changed in place; the data are set already.
        images: Number of training images.
        options: The options of the run.
        weights: The checkpoint to start from, see :func:`.start_weights`.

    Returns:
        What was chosen and why, by the name of its line on the first screen.
    """
    given = options.cfg_options or {}
    began = _config_inside(cfg, weights) if cfg.get('resume') else None
    refines = began.get('refines_classes', False) if began else weights is not None and _knows_classes(cfg, weights)
    cfg.refines_classes = refines  # for resuming: a checkpoint of the run always has its classes
    notes: dict[str, str] = {}
    names_rate = options.lr is not None or any(key.startswith('optim_wrapper') for key in given)
    if options.batch_size is None and 'train_dataloader.batch_size' not in given:
        rate = cfg.optim_wrapper.optimizer.lr
        notes |= _fit_batch_size(cfg, images)
        if names_rate:
            scale_rate(cfg, rate / cfg.optim_wrapper.optimizer.lr)
    if not names_rate:
        notes |= _fit_rate(cfg, images, refines, began)
    if not cfg.train_cfg.get('max_epochs'):
        return notes  # the config counts iterations
    steps = math.ceil(images / _images_per_step(cfg))
    if options.epochs is None and 'train_cfg.max_epochs' not in given:
        notes |= _fit_length(cfg, images, steps, refines)
    if not any(key.startswith('custom_hooks') for key in given):
        notes |= _fit_averages(cfg, steps * cfg.train_cfg.max_epochs)
    return notes


def largest_batch(images: int) -> int:
    """The largest batch size with which an epoch has enough steps."""
    return max(images // _STEPS_AN_EPOCH, _SMALLEST_BATCH)


def _fit_batch_size(cfg: Config, images: int) -> dict[str, str]:
    """Reduce the batch size for few images, so that an epoch has enough steps."""
    old = cfg.train_dataloader.get('batch_size', 1)
    batch = min(old, largest_batch(images))
    if batch == old:
        return {}
    set_batch_size(cfg, batch)
    return dict(batch=f'instead of {old}, chosen for {images} images; batch_size=N changes it')


def _fit_length(cfg: Config, images: int, steps: int, refines: bool) -> dict[str, str]:
    """Set the number of epochs, with ``steps`` per epoch; weights that already detect the classes need few."""
    on_cpu = get_device() == 'cpu'
    wanted = _REFINING_STEPS if refines else _STEPS_ON_CPU if on_cpu else _STEPS
    set_epochs(cfg, min(max(wanted // steps, _FEWEST), _MOST))
    why = ', to refine weights of these classes' if refines else ' on a CPU' if on_cpu else ''
    return dict(length=f'chosen for {images} images{why}; epochs=N changes it')


def fit_evaluations(cfg: Config, images: int, evaluated: int) -> dict[str, str]:
    """Set the interval of evaluations, so that they take about a tenth of the time.

    Args:
        cfg: Changed in place; its number of epochs is set already.
        images, evaluated: Number of images to train on, and to evaluate on.

    Returns:
        What was chosen and why, by the name of its line on the first screen.
    """
    loop, seldom = cfg.train_cfg, math.ceil(_TRAINED_PER_EVALUATED * evaluated / images)
    if not loop.get('max_epochs') or loop.get('val_interval', 1) >= seldom:
        return {}
    loop.val_interval = min(seldom, loop.max_epochs)
    return dict(
        evaluation=f'every {loop.val_interval} epochs, because {evaluated} images are evaluated; '
        f'`cfg_options` train_cfg.val_interval=N changes it'
    )


def _images_per_step(cfg: Config) -> int:
    return cfg.train_dataloader.get('batch_size', 1) * int(os.environ.get('WORLD_SIZE', 1))


def _fit_rate(cfg: Config, images: int, refines: bool, began: Config | None) -> dict[str, str]:
    """Do not scale Adam's learning rate with the batch size; reduce it for weights that already detect the classes."""
    scaling = cfg.get('auto_scale_lr') or {}
    optimizer: Any = cfg.optim_wrapper.get('optimizer') or {}
    if not str(optimizer.get('type')).startswith('Adam') or not (scaling.get('enable') or 'base_lr' in scaling):
        return {}
    # Stored for runs that start from a checkpoint of this one, and thus from its config.
    base = scaling.get('base_lr', optimizer.lr)
    scale_rate(cfg, base / optimizer.lr)
    cfg.auto_scale_lr = dict(scaling, enable=False, base_lr=base)
    if cfg.get('resume'):  # the learning rate of the resumed run
        if began:
            scale_rate(cfg, began.optim_wrapper.optimizer.lr / optimizer.lr)
        return {}
    if not refines:
        return {'learning rate': f"the config's, as {optimizer['type']} needs no scaling; lr=X changes it"}
    factor = _REFINING_FEW if images < _FEW else _REFINING
    scale_rate(cfg, factor)
    return {'learning rate': f"{factor} of the config's, to refine weights of these classes; lr=X changes it"}


def _config_inside(cfg: Config, weights: dict[str, Any] | None) -> Config | None:
    """The config inside a checkpoint."""
    text = ((weights or {}).get('meta') or {}).get('cfg')
    return parse_config_text(text, Path(cfg.load_from)) if text else None


def _knows_classes(cfg: Config, weights: dict[str, Any]) -> bool:
    """Whether weights have the classes of the data: the same number and, if both have names, the same names."""
    names = checkpoint_meta(weights).get('classes')
    own = (base_dataset(cfg, 'train').get('metainfo') or {}).get('classes')
    return has_same_num_classes(cfg.model, weights) and (not names or not own or names == tuple(own))


def _fit_averages(cfg: Config, steps: int) -> dict[str, str]:
    """Limit the moving average of the weights to the last part of the run."""
    horizon = max(steps // _AVERAGED_SHARE, 1)
    notes = {}
    for hook in cfg.get('custom_hooks') or []:
        if hook.get('type') == 'EMAHook' and hook.get('momentum', 0.0002) < 1 / horizon:
            hook['momentum'] = 1 / (horizon + 1)
            if 'gamma' in hook:
                hook['gamma'] = min(hook['gamma'], horizon)
            notes['average'] = f'of the weights over about the last {horizon} of {steps} steps'
    return notes
