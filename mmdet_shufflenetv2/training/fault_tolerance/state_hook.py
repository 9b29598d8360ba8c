"""Save the state that a resumed run needs beyond weights, optimizer and schedules."""

from __future__ import annotations

from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from ...compat.private import is_resuming
from ...models.unwrap import unwrap_model
from .epoch import ResumableEpochLoop
from .randomness import derive_seed, seed_all
from .resume import STATE_KEY, fit_checkpoint

__all__ = ['RunStateHook', 'gradients_are_pending']


@HOOKS.register_module()
class RunStateHook(Hook):
    """Seeds each training step. Checkpoints get the seed, the position in the epoch, and pending gradients.

    The position is the number of finished batches. Gradients are pending if they are accumulated over several steps and
    an epoch ends in between.
    """

    priority = 'LOWEST'

    def __init__(self) -> None:
        self._resumed: dict[str, Any] | None = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        if is_resuming(runner):
            fit_checkpoint(runner, checkpoint)
            self._resumed = checkpoint.get(STATE_KEY)

    def before_train(self, runner: Runner) -> None:
        loop = runner.train_loop
        if not isinstance(loop, ResumableEpochLoop) or self._resumed is None:
            return
        loop.batches.sampler.seed = self._resumed['seed']
        loop.resume(self._resumed['batches_done'], self._resumed['batches'])
        parameters = dict(unwrap_model(runner.model).named_parameters())
        for name, gradient in self._resumed.get('gradients', {}).items():
            parameters[name].grad = gradient.to(parameters[name].device)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if isinstance(runner.train_loop, ResumableEpochLoop):
            seed_all(derive_seed(runner.train_loop.batches.sampler.seed, runner.rank, runner.iter))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        schedulers = checkpoint.get('param_schedulers')
        if isinstance(schedulers, list):  # OneCycleLR stores a function, which would be rejected
            checkpoint['param_schedulers'] = [
                {key: value for key, value in state.items() if not callable(value)} for state in schedulers
            ]
        loop = runner.train_loop
        if not isinstance(loop, ResumableEpochLoop):
            return
        state: dict[str, Any] = dict(
            seed=loop.batches.sampler.seed, batches_done=loop.batches_done, batches=len(loop.dataloader)
        )
        if gradients_are_pending(runner):
            state['gradients'] = {
                name: parameter.grad.cpu()
                for name, parameter in unwrap_model(runner.model).named_parameters()
                if parameter.grad is not None
            }
        checkpoint[STATE_KEY] = state


def gradients_are_pending(runner: Runner) -> bool:
    """Whether accumulated gradients have not been used by the optimizer yet."""
    return isinstance(runner.optim_wrapper, OptimWrapper) and not runner.optim_wrapper.should_update()
