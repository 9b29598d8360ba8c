"""What the screen shows of a training: a bar with the time left and two lines an epoch. The log file has the rest."""

from __future__ import annotations

import inspect
import io
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import torch
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from tqdm import tqdm

from ..compat.patches import install, replaced
from ..visualization.curves import SCORES

__all__ = ['ProgressHook', 'quiet_screen']

_PACKAGE = str(Path(__file__).parents[1])
#: Seconds between two lines within an epoch where there is no bar.
_EVERY = 60
# Warnings that MMEngine and MMDetection give in sound runs, or that a line here tells, too.
_USUAL = ('The prefix is not set in metric class', 'Failed to search registry with scope', '"FileClient" will be',
          '"HardDiskBackend" is the alias', 'Since `metrics` is an empty dict', 'The testing results of the whole',
          'Advance dataloader', 'Reach the end of the dataloader')


@contextmanager
def quiet_screen(runner: Runner) -> Iterator[None]:
    """Within it, the screen shows this package's messages, warnings and progress; all other goes to the log file.

    That is MMEngine's log, and what pycocotools and others print. The runner gets a :class:`ProgressHook`.
    """
    screen, progress = sys.stdout, ProgressHook(sys.stdout, bar=sys.stderr.isatty())
    if runner.rank == 0:
        runner.register_hook(progress, priority='LOWEST')
    handlers = [(handler, handler.stream) for handler in runner.logger.handlers
                if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)]
    for handler, stream in handlers:
        handler.addFilter(_is_for_the_screen)
        install('runner.logger:streams', handler.setStream, _AboveTheBar(stream))
    try:
        with replaced('sys.stdout', sys, _ToTheLog(runner.logger, screen)):
            yield
    finally:
        progress.close()
        for handler, stream in handlers:
            handler.removeFilter(_is_for_the_screen)
            install('runner.logger:streams', handler.setStream, stream)


def _is_for_the_screen(record: logging.LogRecord) -> bool:
    if getattr(record, 'printed', False):
        return False
    if record.levelno >= logging.WARNING:
        return not record.getMessage().startswith(_USUAL)
    return _origin(record).startswith(_PACKAGE)


def _origin(record: logging.LogRecord) -> str:
    """File that a record is from; of MMEngine's ``print_log``, the caller's."""
    frame = inspect.currentframe() if record.funcName == 'print_log' else None
    while frame and frame.f_code.co_name != 'print_log':
        frame = frame.f_back
    return frame.f_back.f_code.co_filename if frame and frame.f_back else record.pathname


class _AboveTheBar(io.TextIOBase):
    """A stream whose text appears above a bar that may be there."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        with suppress(BrokenPipeError):  # whoever read has enough; the log file has it all
            tqdm.write(text, file=self.stream, end='')
        return len(text)


class _ToTheLog(io.TextIOBase):
    """What others print, as lines of the log file."""

    def __init__(self, logger: logging.Logger, screen: TextIO) -> None:
        self.logger, self.screen = logger, screen
        self.line = ''

    def write(self, text: str) -> int:
        *lines, self.line = (self.line + text).split('\n')
        for line in filter(str.strip, lines):
            self.logger.info(line, extra=dict(printed=True))
        return len(text)

    def fileno(self) -> int:
        return self.screen.fileno()


class ProgressHook(Hook):
    """Shows where a training is: lines on ``screen``, and a ``bar`` on stderr or a line a minute with the time left."""

    def __init__(self, screen: TextIO, bar: bool) -> None:
        self.screen, self.has_bar = screen, bar
        self.bar = self.evaluation = None
        self._begin()

    def _begin(self) -> None:
        """Begin a line's worth of steps."""
        self.loss, self.steps, self.began = 0.0, 0, time.monotonic()

    def before_train(self, runner: Runner) -> None:
        self.first, self.start = runner.iter, time.monotonic()
        self.said = self.start

    def before_train_epoch(self, runner: Runner) -> None:
        if self.bar is None:
            self.bar = tqdm(total=runner.max_iters, initial=runner.iter, unit='step', disable=not self.has_bar,
                            leave=False, dynamic_ncols=True, smoothing=0.1)
        self.bar.set_description(self._where(runner))
        self._begin()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        loss = float(torch.as_tensor((outputs or {}).get('loss', float('nan'))).detach())
        self.loss, self.steps = self.loss + loss, self.steps + 1
        self.bar.set_postfix_str(f'loss {loss:.4g}', refresh=False)
        self.bar.update()
        if not self.has_bar and time.monotonic() - self.said >= _EVERY:
            self.said = time.monotonic()
            done = runner.iter + 1
            left = (self.said - self.start) / (done - self.first) * (runner.max_iters - done)
            self._say(f'{self._where(runner)}, step {done} of {runner.max_iters}: loss {self.loss / self.steps:.4g}, '
                      f'{tqdm.format_interval(left)} left')

    def after_train_epoch(self, runner: Runner) -> None:
        self._say_steps(runner)

    def before_val_epoch(self, runner: Runner) -> None:
        self._say_steps(runner)
        self.evaluation = tqdm(total=len(runner.val_dataloader), unit='batch', disable=not self.has_bar, leave=False,
                               dynamic_ncols=True, desc='evaluating')

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.evaluation.update()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self.evaluation.close()
        if not metrics:
            self._say('    evaluation: no boxes found yet')
            self._begin()
            return
        main = [name for name in metrics if name.rsplit('/', 1)[-1] in SCORES] or list(metrics)[:3]
        best = runner.message_hub.runtime_info.get('best_ckpt')
        is_best = best and Path(best).stem.endswith((f'epoch_{runner.epoch}', f'iter_{runner.iter}'))
        shown = ', '.join(f'{name} {metrics[name]:.3f}' for name in main)
        self._say(f'    {shown}' + (f' (the best so far: {Path(best).name})' if is_best else ''))
        self._begin()

    def _say_steps(self, runner: Runner) -> None:
        """One line on the steps since the last."""
        if self.steps:
            rate = max(group['lr'] for group in runner.optim_wrapper.param_groups)
            self._say(f'{self._where(runner)}: loss {self.loss / self.steps:.4g}, learning rate {rate:.4g}, '
                      f'{tqdm.format_interval(time.monotonic() - self.began)}')
        self._begin()

    def _where(self, runner: Runner) -> str:
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            return f'epoch {min(runner.epoch + 1, runner.max_epochs)}/{runner.max_epochs}'
        return f'iteration {runner.iter}/{runner.max_iters}'

    def _say(self, line: str) -> None:
        tqdm.write(line, file=self.screen)
        self.screen.flush()

    def close(self) -> None:
        """Take the bars off the screen."""
        for bar in (self.evaluation, self.bar):
            if bar is not None:
                bar.close()
