"""Show the progress of a training: a bar with the remaining time, and two lines per epoch."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from tqdm import tqdm

from ..compat.screen import Screen
from ..visualization.curves import SCORES

__all__ = ['ProgressHook']

#: Seconds between two lines within an epoch if there is no bar.
_EVERY = 60


class ProgressHook(Hook):
    """Prints lines to ``screen``, and shows a bar on stderr, or one line per minute if stderr is not a terminal."""

    def __init__(self, screen: Screen) -> None:
        self.screen, self.has_bar = screen, sys.stderr.isatty()
        self.bar: Any = None
        self.evaluation: Any = None
        self._begin()

    def _begin(self) -> None:
        """Reset the averages for the next line."""
        self.loss, self.steps, self.began = 0.0, 0, time.monotonic()

    def before_train(self, runner: Runner) -> None:
        self.first, self.start = runner.iter, time.monotonic()
        self.said = self.start

    def before_train_epoch(self, runner: Runner) -> None:
        if self.bar is None:
            self.bar = tqdm(
                total=runner.max_iters,
                initial=runner.iter,
                unit='step',
                disable=not self.has_bar,
                leave=False,
                dynamic_ncols=True,
                smoothing=0.1,
            )
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
            self.screen.show(
                f'{self._where(runner)}, step {done} of {runner.max_iters}: loss '
                f'{self.loss / self.steps:.4g}, {tqdm.format_interval(left)} left'
            )

    def after_train_epoch(self, runner: Runner) -> None:
        self._say_steps(runner)

    def before_val_epoch(self, runner: Runner) -> None:
        self._say_steps(runner)
        self.evaluation = tqdm(
            total=len(runner.val_dataloader),
            unit='batch',
            disable=not self.has_bar,
            leave=False,
            dynamic_ncols=True,
            desc='evaluating',
        )

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.evaluation.update()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self.evaluation.close()
        best = runner.message_hub.runtime_info.get('best_ckpt')
        is_best = best and Path(best).stem.endswith((f'epoch_{runner.epoch}', f'iter_{runner.iter}'))
        shown = ', '.join(_scores(metrics or {})) or 'no boxes found yet'
        self.screen.show(f'    {shown}' + (f' (best so far: {Path(best).name})' if is_best else ''))
        self._begin()

    def _say_steps(self, runner: Runner) -> None:
        """Print a line about the steps since the last line."""
        if self.steps:
            rate = max(group['lr'] for group in runner.optim_wrapper.param_groups)
            self.screen.show(
                f'{self._where(runner)}: loss {self.loss / self.steps:.4g}, learning rate {rate:.4g}, '
                f'{tqdm.format_interval(time.monotonic() - self.began)}'
            )
        self._begin()

    def _where(self, runner: Runner) -> str:
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            return f'epoch {min(runner.epoch + 1, runner.max_epochs)}/{runner.max_epochs}'
        return f'iteration {runner.iter}/{runner.max_iters}'

    def close(self) -> None:
        """Remove the bars from the screen."""
        for bar in (self.evaluation, self.bar):
            if bar is not None:
                bar.close()


def _scores(metrics: dict[str, float]) -> Iterator[str]:
    """The main metrics, with the same names as in the curves."""
    known = [name for name in metrics if name.rsplit('/', 1)[-1] in SCORES]
    for name in known or list(metrics)[:3]:
        yield f'{SCORES[name.rsplit("/", 1)[-1]][0] if known else name} {metrics[name]:.3f}'
    if 'val_loss' in metrics:
        yield f'validation loss {metrics["val_loss"]:.4g}'
