"""On Ctrl-C or SIGTERM, save a checkpoint after the current step and stop."""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_reduce, is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...compat.patches import install, replace
from ...utils.errors import StoppedError
from .checkpoint_hook import FaultTolerantCheckpointHook
from .resume_command import resume_command
from .state_hook import gradients_are_pending

__all__ = ['InterruptHook']


@HOOKS.register_module()
class InterruptHook(Hook):
    """Saves and stops after the current step when a signal arrives. A second signal stops immediately.

    All processes of a distributed run stop after the same step, even if only one of them gets the signal.

    Raises:
        StoppedError: With the command that resumes the run.
    """

    priority = 'LOWEST'
    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def before_train(self, runner: Runner) -> None:
        if threading.current_thread() is threading.main_thread():  # other threads cannot set handlers
            self._before = {number: _set_handler(number, self._receive) for number in self._SIGNALS}
        loaders = [runner.train_loop.dataloader, *([runner.val_loop.dataloader] if runner.val_loop else [])]
        for loader in loaders:
            replace('DataLoader.worker_init_fn', loader, partial(_ignore_signals, loader.worker_init_fn))
        atexit.unregister(_end_workers)
        install('atexit:workers', atexit.register, _end_workers)

    def after_train(self, runner: Runner) -> None:
        self._restore_handlers()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if self._any_received() and not gradients_are_pending(runner):
            _checkpoints(runner).save_midway(runner)
            self._stop()

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        # Processes can have different numbers of validation batches, so they cannot communicate after each batch.
        if not is_distributed():
            self._stop_if_saved(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._stop_if_saved(runner)

    def _stop_if_saved(self, runner: Runner) -> None:
        # Nothing is saved during an evaluation, because the weights can be averages.
        if self._any_received() and _checkpoints(runner).is_saved(runner):
            self._stop()

    def _receive(self, number: int, frame: Any) -> None:
        self.received = number
        print(
            f'\n{signal.Signals(number).name}: stopping after this step. Send it again to stop immediately.',
            file=sys.stderr,
            flush=True,
        )
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for number, handler in self._before.items():
            _set_handler(number, handler)
        self._before = {}

    def _any_received(self) -> bool:
        if not is_distributed():
            return self.received is not None
        received = torch.tensor(self.received or 0)
        all_reduce(received, 'max')
        self.received = int(received) or None
        return self.received is not None

    def _stop(self) -> None:
        self._restore_handlers()
        raise StoppedError(f'Stopped and saved. Continue with: {resume_command()}', status=128 + (self.received or 0))


def _set_handler(number: int, handler: Any) -> Any:
    return install('signal:SIGINT and SIGTERM', signal.signal, number, handler)


def _ignore_signals(init: Callable[[int], None] | None, worker: int) -> None:
    """Initialize a data loader worker that ignores Ctrl-C and SIGTERM, which all processes receive."""
    for number in InterruptHook._SIGNALS:
        _set_handler(number, signal.SIG_IGN)
    if init is not None:
        init(worker)


def _end_workers() -> None:
    """Kill the workers when this process exits. They ignore SIGTERM, so it would wait for them."""
    if hasattr(signal, 'SIGCHLD'):  # not on Windows
        install('signal:SIGCHLD', signal.signal, signal.SIGCHLD, signal.SIG_DFL)
    for worker in multiprocessing.active_children():
        worker.kill()


def _checkpoints(runner: Runner) -> FaultTolerantCheckpointHook:
    return next(hook for hook in runner.hooks if isinstance(hook, FaultTolerantCheckpointHook))
