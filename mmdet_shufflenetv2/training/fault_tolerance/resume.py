"""A checkpoint and the config that goes on from it, which flags may have changed since it was saved.

MMEngine restores optimizer and schedules as they were saved, whatever the config says by then. Here the config decides:
where it asks for another learning rate, length or schedule, the schedules are stepped to the checkpoint's position as
if the run had begun with them. Where nothing has changed, nothing is touched. What cannot be changed is refused.
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

#: What :class:`.RunStateHook` keeps in a checkpoint.
STATE_KEY = 'run_state'

# What changes in a scheduler while it steps; everything else follows from the config.
_PROGRESS = {'last_step', '_global_step', '_last_value', 'verbose', 'best', 'num_bad_epochs', 'cooldown_counter'}
# How an optimizer computes, not what; the defaults differ between releases of PyTorch.
_IMPLEMENTATION = {'params', 'foreach', 'fused', 'capturable', 'differentiable'}


def fit_checkpoint(runner: Runner, checkpoint: dict[str, Any]) -> None:
    """Make a checkpoint one that the run can go on from; called before any of it is loaded.

    Args:
        runner: In its ``after_load_checkpoint``: optimizer and schedulers are built and have not stepped.
        checkpoint: Its position, optimizer settings and schedules are changed in place.

    Raises:
        UserError: If it is of another model, other classes, another seed or another optimizer, or has more steps than
            the run.
    """
    name = weights_to_load(runner) or 'the checkpoint'
    new_run = f'To start a new run from its weights, leave out `resume`: `cfg_options` load_from={name}'
    _require_same_run(runner, checkpoint, name, new_run)
    _set_position(runner, checkpoint, name)
    if isinstance(runner.optim_wrapper, OptimWrapper):  # not several of them
        _set_schedules(runner, checkpoint, name, new_run)


def _require_same_run(runner: Runner, checkpoint: dict[str, Any], name: str, new_run: str) -> None:
    meta = checkpoint.get('meta') or {}
    if not {'epoch', 'iter'} <= meta.keys() or 'message_hub' not in checkpoint:
        raise UserError(f'{name} holds weights, but not the state of a run, so it cannot be resumed. {new_run}')
    before, now = ((each or {}).get('classes') for each in
                   (meta.get('dataset_meta'), getattr(runner.train_dataloader.dataset, 'metainfo', None)))
    if before and now and tuple(before) != tuple(now):
        raise UserError(f'{name} was trained on {_classes(before)}, and this run is on {_classes(now)}. A resumed run '
                        f'keeps its classes. {new_run}')
    own, given = unwrap_model(runner.model).state_dict(), checkpoint.get('state_dict', {})
    given = {key.removeprefix('module.'): value for key, value in given.items()}
    other = [key for key in own.keys() | given.keys() if key not in own or key not in given
             or own[key].shape != given[key].shape]
    if other:
        raise UserError(f'{name} is of another model: {len(other)} weights do not fit, such as {min(other)}. A resumed '
                        f'run keeps its model. {new_run}')
    seed = seed_of(runner)
    if seed is not None and meta.get('seed') is not None and seed != meta['seed']:
        raise UserError(f'randomness.seed is {seed}, and {name} was trained with {meta["seed"]}. A resumed run keeps '
                        f'its seed: `cfg_options` randomness.seed={meta["seed"]}')


def _classes(names: Any) -> str:
    return f'{len(names)} classes ({", ".join(map(str, names[:5]))}{", ..." if len(names) > 5 else ""})'


def _set_position(runner: Runner, checkpoint: dict[str, Any], name: str) -> None:
    """Count the steps that are done in epochs of now, and compare them with the run's length."""
    meta, loop = checkpoint['meta'], runner.train_loop
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    if by_epoch:
        batches, state = len(loop.dataloader), checkpoint.get(STATE_KEY)
        done = meta['iter'] - meta['epoch'] * batches
        if (state and state['batches'] != batches) or not 0 <= done < batches:
            runner.logger.info(f'An epoch has {batches} steps now, and had another number before: going on after '
                               f'{meta["epoch"]} whole epochs.')
            meta['iter'] = meta['epoch'] * batches
    done, length, unit, flag = (meta['epoch'], loop.max_epochs, 'epochs', 'epochs=N') if by_epoch else (
        meta['iter'], loop.max_iters, 'iterations', '`cfg_options` train_cfg.max_iters=N')
    if done > length:
        raise UserError(f'{name} has {done} {unit}, more than the {length} of this run. Name a longer one to go '
                        f'on: {flag}')
    if done == length:
        runner.logger.warning(in_words(
            f'{name} has all {length} {unit} of this run: nothing is left to train. To train '
            f'longer: `resume` {flag}'))


def _set_schedules(runner: Runner, checkpoint: dict[str, Any], name: str, new_run: str) -> None:
    schedulers, groups = runner.param_schedulers or [], runner.optim_wrapper.param_groups
    saved = checkpoint.get('optimizer') or dict(param_groups=[])
    saved_groups = [*saved['param_groups'], *([saved['base_param_settings']] if saved.get('base_param_settings')
                                              else [])]
    if 'optimizer' in checkpoint and not _fit(groups, saved_groups):
        raise UserError(f'{name} was trained with another optimizer, or with other parameter groups. A resumed run '
                        f'keeps them. {new_run}')
    scheduled = {scheduler.param_name for scheduler in schedulers}
    changed = [key for old, new in zip(saved_groups, groups) for key in old.keys() & new.keys() - _IMPLEMENTATION
               if key not in scheduled and old[key] != new[key]]
    if not changed and _settings(schedulers) == _settings(checkpoint.get('param_schedulers') or []):
        return
    if any(hasattr(scheduler, 'num_bad_epochs') for scheduler in schedulers):
        raise UserError(f'The schedule differs from that of {name}, and the part of it that follows the metrics '
                        f'(ReduceOnPlateau) cannot be repeated. Resume with the same settings. {new_run}')
    before = saved_groups[0]['lr'] if saved_groups else float('nan')
    loop = runner.train_loop
    _step_to(schedulers, checkpoint['meta']['iter'],
             len(loop.dataloader) if isinstance(loop, EpochBasedTrainLoop) else None)
    for old, new in zip(saved_groups, groups):
        old.update({key: value for key, value in new.items() if key != 'params'})
    checkpoint['param_schedulers'] = [dict(scheduler.state_dict()) for scheduler in schedulers]
    runner.logger.warning(
        f'Learning rate, length or schedule differ from those of {name}: they hold from here on as if the run had '
        f'begun with them. The learning rate goes on at {groups[0]["lr"]:.4g}, in place of {before:.4g}.')


def _fit(groups: list[dict[str, Any]], saved: list[dict[str, Any]]) -> bool:
    """Whether both are of one optimizer: releases of PyTorch add settings, another algorithm exchanges them."""
    if [len(group['params']) for group in groups] != [len(group['params']) for group in saved]:
        return False
    own, other = ({key for key in group if not key.startswith(('initial_', 'max_', 'min_'))} for group in
                  (groups[0], saved[0]))
    return own <= other or other <= own


def _settings(schedulers: list[Any]) -> list[dict[str, Any]]:
    """What schedulers, or their states, have from the config."""
    states = [scheduler if isinstance(scheduler, dict) else scheduler.state_dict() for scheduler in schedulers]
    return [{key: value for key, value in state.items() if key not in _PROGRESS and not callable(value)}
            for state in states]


def _step_to(schedulers: list[Any], iterations: int, batches: int | None) -> None:
    """Step schedulers as a run does that comes to so many iterations, in epochs of ``batches`` (None: no epochs)."""
    for scheduler in schedulers:
        count_steps(scheduler)  # else they warn that the optimizer has not stepped
    for iteration in range(1, iterations + 1):
        epoch_ends = batches is not None and iteration % batches == 0
        for by_epoch in (False, True) if epoch_ends else (False, ):
            for scheduler in schedulers:
                if scheduler.by_epoch == by_epoch:
                    scheduler.step()
