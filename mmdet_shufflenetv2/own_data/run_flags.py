"""The flags that fit a run to a small data set or machine. Each changes everything that depends on it."""

from __future__ import annotations

import os
from typing import Any

from mmengine.config import Config

from ..errors import UserError
from .image_size import parse_image_size, set_image_size

__all__ = ['set_run_flags', 'shorten_warm_up']

# What MMEngine's schedulers call a point in time.
_TIMES = ('begin', 'end', 'T_max', 'milestones', 'step_size')
#: A warm-up takes at most one step in so many. Of a single step MMEngine's LinearLR would never come back from.
_WARM_UP_SHARE = 10
_SHORTEST = 2
# Stages of a backbone, here and in MMDetection: conv5 counts as one.
_MOST_FROZEN = 4


def set_run_flags(cfg: Config, *, freeze: int | None = None, image_size: str | None = None,
                  batch_size: int | None = None, epochs: int | None = None, lr: float | None = None) -> None:
    """Lay the flags of ``tools/train.py`` over a config; None changes nothing.

    Args:
        cfg: The config, changed in place.
        freeze: The backbone's ``frozen_stages``: -1 nothing, 0 the stem, 1 the stem and stage2, up to 4.
        image_size: ``640`` or ``1333x800``, in pixels, as :func:`.set_image_size` takes it.
        batch_size: Images per step on each device. The learning rate follows in proportion.
        epochs: Length of the run. Warm-up, milestones, cosines and the intervals of evaluation and checkpoints follow
            in proportion.
        lr: Learning rate, used as it is.

    Raises:
        UserError: If a value makes no sense, or the config has nothing that it could change.
    """
    for name, value in (('--batch-size', batch_size), ('--epochs', epochs), ('--lr', lr)):
        if value is not None and not 0 < value < float('inf'):
            raise UserError(f'{name} {value}: expected a positive number.')
    if freeze is not None:
        if not -1 <= freeze <= _MOST_FROZEN:
            raise UserError(f'--freeze {freeze}: expected -1 (nothing), 0 (the stem), or 1 to {_MOST_FROZEN} (so many '
                            f'stages, too).')
        cfg.model.backbone.frozen_stages = freeze
    if image_size is not None:
        set_image_size(cfg, parse_image_size(image_size))
    if batch_size is not None:
        _set_batch_size(cfg, batch_size)
    if epochs is not None:
        _set_epochs(cfg, epochs)
    if lr is not None:
        cfg.optim_wrapper.optimizer.lr = lr
        cfg.auto_scale_lr = dict(cfg.get('auto_scale_lr') or {}, enable=False)


def _set_batch_size(cfg: Config, batch_size: int) -> None:
    old, cfg.train_dataloader.batch_size = cfg.train_dataloader.get('batch_size', batch_size), batch_size
    if not (cfg.get('auto_scale_lr') or {}).get('enable'):  # else MMEngine scales by the same rule
        cfg.optim_wrapper.optimizer.lr *= batch_size / old


def _set_epochs(cfg: Config, epochs: int) -> None:
    old = cfg.train_cfg.get('max_epochs')
    if not old:
        raise UserError(f'--epochs needs a schedule in epochs, and {cfg.filename} counts iterations. Set its length '
                        f'with --cfg-options train_cfg.max_iters=N')
    factor = epochs / old
    cfg.train_cfg.max_epochs = epochs
    for schedule in _schedules(cfg):
        _scale_times(schedule, factor)
    checkpoints = cfg.get('default_hooks', {}).get('checkpoint', {})
    for holder, key in ((cfg.train_cfg, 'val_interval'), (checkpoints, 'interval')):
        if key in holder and holder.get('by_epoch', True):
            holder[key] = _at_least_one(holder[key] * factor)


def shorten_warm_up(cfg: Config, images: int) -> str | None:
    """Let no warm-up take more than a tenth of the run: with few images, a fixed number of steps may be all of it.

    Args:
        cfg: The config, changed in place.
        images: How many it trains on.

    Returns:
        What the user should be told; None where nothing was changed.
    """
    epochs = cfg.train_cfg.get('max_epochs')
    if not epochs:
        return None
    world = int(os.environ.get('WORLD_SIZE', 1))
    steps = max(images // (cfg.train_dataloader.get('batch_size', 1) * world), 1) * epochs
    longest = max(steps // _WARM_UP_SHARE, _SHORTEST)
    long = [schedule for schedule in _schedules(cfg) if not schedule.get('by_epoch', True)
            and schedule.get('begin', 0) == 0 and longest < schedule.get('end', 0) < float('inf')]
    for schedule in long:
        schedule['end'] = longest
    return f'warm-up shortened to {longest} of the {steps} steps' if long else None


def _schedules(cfg: Config) -> list[dict[str, Any]]:
    schedules = cfg.get('param_scheduler') or []
    return [schedules] if isinstance(schedules, dict) else list(schedules)


def _scale_times(schedule: dict[str, Any], factor: float) -> None:
    for key in _TIMES:
        if isinstance(schedule.get(key), (list, tuple)):
            schedule[key] = sorted({_at_least_one(time * factor) for time in schedule[key]})
        elif schedule.get(key) not in (None, 0, float('inf')):
            schedule[key] = _at_least_one(schedule[key] * factor)
    if 'end' in schedule:
        schedule['end'] = max(schedule['end'], schedule.get('begin', 0) + _SHORTEST)


def _at_least_one(time: float) -> int:
    return max(round(time), 1)
