"""Adapt a checkpoint to the config of the resumed run, which may have changed since it was saved.

MMEngine restores optimizer and schedules as they were saved and ignores changes of the config. Here the config
decides: with another learning rate, length or schedule, the schedules are stepped to the position of the checkpoint, as
if the run had started with them. Without changes, nothing is adapted. Changes that are not possible are rejected.
"""

from __future__ import annotations

from typing import Any

from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, Runner

from ...compat.private import count_steps, seed_of, weights_to_load
from ...models.unwrap import unwrap_model
from ...utils.errors import UserError
from ...utils.options import in_words

__all__ = ['STATE_KEY', 'fit_checkpoint']

#: Key of the state of :class:`.RunStateHook` in a checkpoint.
STATE_KEY = 'run_state'

# State of a scheduler that changes with each step. Everything else comes from the config.
_PROGRESS = {'last_step', '_global_step', '_last_value', 'verbose', 'best', 'num_bad_epochs', 'cooldown_counter'}
# Settings of the optimizer's implementation. Their defaults differ between PyTorch versions.
_IMPLEMENTATION = {'params', 'foreach', 'fused', 'capturable', 'differentiable'}


def fit_checkpoint(runner: Runner, checkpoint: dict[str, Any]) -> None:
    """Adapt a checkpoint to the resumed run, before its state is loaded.

    Args:
        runner: In ``after_load_checkpoint``: optimizer and schedulers are built and have not stepped.
        checkpoint: Its position, optimizer settings and schedules are changed in place.

    Raises:
        UserError: If it has another model, other classes, another seed or another optimizer, or more steps than the
            run.
    """
    name = weights_to_load(runner) or 'the checkpoint'
    new_run = f'To start a new run from its weights, use this instead of `resume`: `cfg_options` load_from={name}'
    _require_same_run(runner, checkpoint, name, new_run)
    _set_position(runner, checkpoint, name)
    if isinstance(runner.optim_wrapper, OptimWrapper):  # not several of them
        _set_schedules(runner, checkpoint, name, new_run)


def _require_same_run(runner: Runner, checkpoint: dict[str, Any], name: str, new_run: str) -> None:
    meta = checkpoint.get('meta') or {}
    if not {'epoch', 'iter'} <= meta.keys() or 'message_hub' not in checkpoint:
        raise UserError(f'{name} contains only weights and no training state, so it cannot be resumed. {new_run}')
    before, now = (
        (each or {}).get('classes')
        for each in (meta.get('dataset_meta'), getattr(runner.train_dataloader.dataset, 'metainfo', None))
    )
    if before and now and tuple(before) != tuple(now):
        raise UserError(
            f'{name} was trained on {_classes(before)}, but this run has {_classes(now)}. A resumed run '
            f'cannot change its classes. {new_run}'
        )
    own, given = unwrap_model(runner.model).state_dict(), checkpoint.get('state_dict', {})
    given = {key.removeprefix('module.'): value for key, value in given.items()}
    other = [
        key
        for key in own.keys() | given.keys()
        if key not in own or key not in given or own[key].shape != given[key].shape
    ]
    if other:
        raise UserError(
            f'{name} has another model: {len(other)} weights do not match, such as {min(other)}. A resumed '
            f'run cannot change its model. {new_run}'
        )
    seed = seed_of(runner)
    if seed is not None and meta.get('seed') is not None and seed != meta['seed']:
        raise UserError(
            f'randomness.seed is {seed}, but {name} was trained with {meta["seed"]}. A resumed run cannot '
            f'change its seed: `cfg_options` randomness.seed={meta["seed"]}'
        )


def _classes(names: Any) -> str:
    return f'{len(names)} classes ({", ".join(map(str, names[:5]))}{", ..." if len(names) > 5 else ""})'


def _set_position(runner: Runner, checkpoint: dict[str, Any], name: str) -> None:
    """Convert the position to the current epoch length, and compare it with the length of the run."""
    meta, loop = checkpoint['meta'], runner.train_loop
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    if by_epoch:
        batches, state = len(loop.dataloader), checkpoint.get(STATE_KEY)
        done = meta['iter'] - meta['epoch'] * batches
        if (state and state['batches'] != batches) or not 0 <= done < batches:
            runner.logger.info(
                f'The number of steps per epoch has changed to {batches}: continuing after '
                f'{meta["epoch"]} complete epochs.'
            )
            meta['iter'] = meta['epoch'] * batches
    done, length, unit, flag = (
        (meta['epoch'], loop.max_epochs, 'epochs', 'epochs=N')
        if by_epoch
        else (meta['iter'], loop.max_iters, 'iterations', '`cfg_options` train_cfg.max_iters=N')
    )
    if done > length:
        raise UserError(
            f'{name} has {done} {unit}, more than the {length} of this run. Set a longer run to continue: {flag}'
        )
    if done == length:
        runner.logger.warning(
            in_words(f'{name} has already finished all {length} {unit} of this run. To train longer: `resume` {flag}')
        )


def _set_schedules(runner: Runner, checkpoint: dict[str, Any], name: str, new_run: str) -> None:
    schedulers, groups = runner.param_schedulers or [], runner.optim_wrapper.param_groups
    saved = checkpoint.get('optimizer') or dict(param_groups=[])
    saved_groups = [
        *saved['param_groups'],
        *([saved['base_param_settings']] if saved.get('base_param_settings') else []),
    ]
    if 'optimizer' in checkpoint and not _fit(groups, saved_groups):
        raise UserError(
            f'{name} was trained with another optimizer or other parameter groups. A resumed run cannot '
            f'change them. {new_run}'
        )
    scheduled = {scheduler.param_name for scheduler in schedulers}
    changed = [
        key
        for old, new in zip(saved_groups, groups)
        for key in old.keys() & new.keys() - _IMPLEMENTATION
        if key not in scheduled and old[key] != new[key]
    ]
    if not changed and _settings(schedulers) == _settings(checkpoint.get('param_schedulers') or []):
        return
    if any(hasattr(scheduler, 'num_bad_epochs') for scheduler in schedulers):
        raise UserError(
            f'The schedule differs from that of {name}, but ReduceOnPlateau depends on earlier metrics and '
            f'cannot be changed. Resume with the same settings. {new_run}'
        )
    before = saved_groups[0]['lr'] if saved_groups else float('nan')
    loop = runner.train_loop
    _step_to(
        schedulers, checkpoint['meta']['iter'], len(loop.dataloader) if isinstance(loop, EpochBasedTrainLoop) else None
    )
    for old, new in zip(saved_groups, groups):
        old.update({key: value for key, value in new.items() if key != 'params'})
    checkpoint['param_schedulers'] = [dict(scheduler.state_dict()) for scheduler in schedulers]
    runner.logger.warning(
        f'Learning rate, length or schedule differ from those of {name}: the new ones are used as if the run had '
        f'started with them. The learning rate continues at {groups[0]["lr"]:.4g} instead of {before:.4g}.'
    )


def _fit(groups: list[dict[str, Any]], saved: list[dict[str, Any]]) -> bool:
    """Whether both belong to the same optimizer. PyTorch versions may add settings; another optimizer has others."""
    if [len(group['params']) for group in groups] != [len(group['params']) for group in saved]:
        return False
    own, other = (
        {key for key in group if not key.startswith(('initial_', 'max_', 'min_'))} for group in (groups[0], saved[0])
    )
    return own <= other or other <= own


def _settings(schedulers: list[Any]) -> list[dict[str, Any]]:
    """The settings of schedulers, or of their states, that come from the config."""
    states = [scheduler if isinstance(scheduler, dict) else scheduler.state_dict() for scheduler in schedulers]
    return [
        {key: value for key, value in state.items() if key not in _PROGRESS and not callable(value)} for state in states
    ]


def _step_to(schedulers: list[Any], iterations: int, batches: int | None) -> None:
    """Step schedulers as in a run of this many iterations, with ``batches`` per epoch (None: no epochs)."""
    for scheduler in schedulers:
        count_steps(scheduler)  # otherwise they warn that the optimizer has not stepped
    for iteration in range(1, iterations + 1):
        epoch_ends = batches is not None and iteration % batches == 0
        for by_epoch in (False, True) if epoch_ends else (False,):
            for scheduler in schedulers:
                if scheduler.by_epoch == by_epoch:
                    scheduler.step()
