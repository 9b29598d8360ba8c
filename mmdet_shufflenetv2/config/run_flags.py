"""Options that adapt a run to a data set or machine. Each also adapts the entries that depend on it."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from mmengine.config import Config

from ..utils.errors import UserError
from .image_size import parse_image_size, set_image_size

__all__ = [
    'fit_warm_up',
    'scale_rate',
    'schedules_of',
    'set_batch_size',
    'set_epochs',
    'set_run_flags',
    'unfinished_warm_up',
]

#: A warm-up takes at most this part of the steps: 1 / 10.
_WARM_UP_SHARE = 10
#: Fewest steps of a warm-up. MMEngine's LinearLR never leaves its start factor if it has only one.
_SHORTEST = 2
_WARM_UPS = ('Linear', 'Constant', 'QuadraticWarmup')
# Arguments of hooks that are an epoch of the run: when YOLOX and RTMDet change the augmentation, and when averaging of
# the weights begins.
_HOOK_TIMES = ('switch_epoch', 'num_last_epochs', 'begin_epoch')
# Number of stages of a backbone, here and in MMDetection. conv5 counts as one.
_MOST_FROZEN = 4


def set_run_flags(
    cfg: Config,
    *,
    freeze: int | None = None,
    image_size: str | None = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    lr: float | None = None,
) -> None:
    """Apply options of ``snv2 train`` to a config. None changes nothing.

    Args:
        cfg: Changed in place.
        freeze: The backbone's ``frozen_stages``: -1 nothing, 0 the stem, 1 the stem and stage2, up to 4.
        image_size: ``640`` or ``1333x800`` in pixels, see :func:`.set_image_size`.
        batch_size: Images per step on each device. The learning rate is scaled in proportion.
        epochs: Length of the run. Warm-up, milestones, cosine schedules and the intervals of evaluation and checkpoints
            are scaled in proportion.
        lr: Learning rate; it is not scaled.

    Raises:
        UserError: If a value is invalid, or the config lacks the entry that it changes.
    """
    if freeze is not None:
        if not -1 <= freeze <= _MOST_FROZEN:
            raise UserError(
                f'freeze={freeze}: expected -1 (nothing), 0 (the stem), or 1 to {_MOST_FROZEN} (the stem '
                f'and that many stages).'
            )
        cfg.model.backbone.frozen_stages = freeze
    if image_size is not None:
        set_image_size(cfg, parse_image_size(image_size))
    if batch_size is not None:
        set_batch_size(cfg, batch_size)
    if epochs is not None:
        set_epochs(cfg, epochs)
    if lr is not None:
        scale_rate(cfg, lr / cfg.optim_wrapper.optimizer.lr)
        cfg.optim_wrapper.optimizer.lr = lr
        for schedule in schedules_of(cfg):
            if 'eta_max' in schedule:  # OneCycleLR's own learning rate
                schedule['eta_max'] = lr
        cfg.auto_scale_lr = dict(cfg.get('auto_scale_lr') or {}, enable=False)


def set_batch_size(cfg: Config, batch_size: int) -> None:
    """Set the images per step on each device, and scale the learning rate in proportion."""
    old, cfg.train_dataloader.batch_size = cfg.train_dataloader.get('batch_size', batch_size), batch_size
    if not (cfg.get('auto_scale_lr') or {}).get('enable'):  # otherwise MMEngine scales it in the same way
        scale_rate(cfg, batch_size / old)


def scale_rate(cfg: Config, factor: float) -> None:
    """Scale the learning rate, and the highest and lowest learning rates of schedules."""
    cfg.optim_wrapper.optimizer.lr *= factor
    for schedule in schedules_of(cfg):
        for key in ('eta_max', 'eta_min') if _kind(schedule).endswith('LR') else ():
            if isinstance(schedule.get(key), (int, float)):
                schedule[key] *= factor


def set_epochs(cfg: Config, epochs: int) -> None:
    """Set the length of the run, and scale everything that is counted in epochs.

    Raises:
        UserError: If the config counts iterations.
    """
    old = cfg.train_cfg.get('max_epochs')
    if not old:
        raise UserError(
            f'`epochs` needs a schedule in epochs, but {cfg.filename} counts iterations. Set its length '
            f'with `cfg_options` train_cfg.max_iters=N'
        )
    factor, loop = epochs / old, cfg.train_cfg
    loop.max_epochs = epochs
    for schedule in schedules_of(cfg):
        _move_times(schedule, factor)
    if loop.get('dynamic_intervals'):
        loop.dynamic_intervals = [
            (_at_least_one(begin * factor), interval) for begin, interval in loop.dynamic_intervals
        ]
    checkpoints = cfg.get('default_hooks', {}).get('checkpoint', {})
    for holder, keys in ((loop, ('val_interval', 'val_begin')), (checkpoints, ('interval', 'save_begin'))):
        for key in keys:
            if holder.get(key, 0) > 0 and holder.get('by_epoch', True):
                holder[key] = _at_least_one(holder[key] * factor)
    for hook in cfg.get('custom_hooks') or []:
        hook.update({key: _at_least_one(hook[key] * factor) for key in _HOOK_TIMES if hook.get(key)})


def fit_warm_up(schedules: list[dict[str, Any]], steps: int) -> str | None:
    """Limit warm-ups to a tenth of the run. With few images, a fixed number of steps may be longer than the run.

    Other schedules in steps that end after the run are scaled to end with it. ``schedules`` are changed in place.

    Returns a note for the user, or None if nothing was changed.
    """
    longest, notes = max(steps // _WARM_UP_SHARE, _SHORTEST), []
    in_steps = [schedule for schedule in schedules if not schedule.get('by_epoch', True)]
    others = [schedule for schedule in in_steps if not _is_warm_up(schedule)]
    for schedule in (schedule for schedule in in_steps if _is_warm_up(schedule)):
        if longest < schedule['end'] < float('inf'):
            for other in others:
                if other.get('begin', 0) == schedule['end']:
                    _begin_at(other, longest)
            notes.append(f'warm-up shortened from {schedule["end"]} to {longest} of the {steps} steps')
            schedule['end'] = longest
    for schedule in others:
        begin, last = schedule.get('begin', 0), _last_time(schedule)
        if last > steps > begin:
            _move_times(schedule, (steps - begin) / (last - begin), origin=begin)
            notes.append(f'{_kind(schedule)} scaled from {last} to the {steps} steps')
    return '; '.join(notes) or None


def unfinished_warm_up(schedules: list[dict[str, Any]], steps: int) -> str | None:
    """A note for the user if a warm-up in steps is longer than the run, otherwise None."""
    ends = [
        schedule['end']
        for schedule in schedules
        if not schedule.get('by_epoch', True) and _is_warm_up(schedule) and steps < schedule['end'] < float('inf')
    ]
    return f'its warm-up of {max(ends)} steps is longer than the run' if ends else None


def _is_warm_up(schedule: dict[str, Any]) -> bool:
    return _kind(schedule).startswith(_WARM_UPS) and schedule.get('begin', 0) == 0 and bool(schedule.get('end'))


def _kind(schedule: dict[str, Any]) -> str:
    kind = schedule['type']
    return kind.__name__ if isinstance(kind, type) else kind.rpartition('.')[2]


def _begin_at(schedule: dict[str, Any], begin: int) -> None:
    """Move the begin of a schedule but not its end, and adapt its length."""
    end = schedule.get('end')
    for key in ('T_max', 'total_steps'):
        if end and schedule.get(key) == end - schedule['begin']:
            schedule[key] = end - begin
    schedule['begin'] = begin


def _last_time(schedule: dict[str, Any]) -> float:
    begin, end = schedule.get('begin', 0), schedule.get('end')
    times = [
        end if end is not None and end < float('inf') else 0,
        *schedule.get('milestones', ()),
        *(begin + schedule[key] for key in ('T_max', 'total_steps') if schedule.get(key)),
        begin + sum(schedule.get('periods', ())),
    ]
    return max(times)


def schedules_of(cfg: Config) -> list[dict[str, Any]]:
    """The scheduler configs of a run."""
    schedules = cfg.get('param_scheduler') or []
    if isinstance(schedules, dict):  # a single one, or a list per optimizer
        return [schedules] if 'type' in schedules else [each for part in schedules.values() for each in part]
    return list(schedules)


def _move_times(schedule: dict[str, Any], factor: float, origin: float = 0) -> None:
    """Scale the times of a schedule around ``origin``. A length is the difference of two scaled and rounded times."""

    def moved(time: float) -> float:
        return time if time in (0, float('inf')) else _at_least_one(origin + (time - origin) * factor)

    # A schedule of one iteration never leaves its first value. One epoch that is converted has many iterations.
    shortest = 1 if schedule.get('convert_to_iter_based') else _SHORTEST
    old = schedule.get('begin', 0)
    begin = moved(old)
    if 'begin' in schedule:
        schedule['begin'] = begin
    if schedule.get('end') is not None:
        schedule['end'] = max(moved(schedule['end']), begin + shortest)
    if 'milestones' in schedule:
        schedule['milestones'] = sorted({moved(time) for time in schedule['milestones']})
    for key in ('T_max', 'total_steps', 'step_size'):
        if schedule.get(key):
            schedule[key] = max(moved(old + schedule[key]) - begin, shortest if key == 'total_steps' else 1)
    if 'periods' in schedule:
        ends = [moved(old + length) for length in accumulate(schedule['periods'])]
        schedule['periods'], before = [], begin
        for end in ends:
            schedule['periods'].append(max(end - before, 1))
            before += schedule['periods'][-1]


def _at_least_one(time: float) -> int:
    return max(round(time), 1)
