"""Latency, memory and cost of one network in every form in which it can be run here, beside its peers."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...compat.patches import install
from ...config.access import require_detector
from ...config.load import load_config
from ...models.backbones.architectures import TABLE_5
from ...utils.device import usable_device
from ...utils.errors import StoppedError, UserError
from ...utils.files import make_folder
from ..timing import machine_name, slug
from .measure import benchmark, chosen, contenders
from .report import save
from .task import Task

__all__ = ['Task', 'benchmark', 'run_benchmarks']


def run_benchmarks(tasks: Sequence[Task], *, out: Path | None, rounds: int, memory: bool,
                   skip: Sequence[str] = (), command: str) -> Path:
    """Measure as ``snv2 benchmark`` does, see :func:`benchmark`, and return the folder of the report.

    Args:
        out: That folder; by default ``benchmarks/latency/`` and the machine's name.
        command: What was typed, for the report.

    Raises:
        UserError: If an argument does not fit, the device is not there, a config is invalid, or the folder cannot be
            made.
        StoppedError: If Ctrl-C or SIGTERM stopped it; what was measured until then is written.
    """
    tasks = [task._replace(config=task.config or task.checkpoint) for task in tasks]  # its config is inside
    for task in tasks:
        _check_task(task, rounds, skip)
    # Made first, so that nothing is measured that cannot be saved.
    out = make_folder(out or Path('benchmarks/latency') / slug(machine_name(tasks[0].device)), 'out_dir')
    results, received = [], []

    def stop(number: int, frame: Any) -> None:
        received.append(number)
        raise KeyboardInterrupt

    before = _on_sigterm(stop)
    try:
        for task in tasks:
            results.append(benchmark(task, rounds, memory, skip))
            if results[-1].stopped:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        if not results:
            raise
        received = received or [signal.SIGINT]
    finally:
        _on_sigterm(before)
    save(results, out, command, [task.title for task in tasks[len(results):]])
    if received:
        raise StoppedError(f'Stopped. What was measured until then is in {out}/README.md and results.json, marked as '
                           f'partial.', 128 + received[0])
    return out


def _check_task(task: Task, rounds: int, skip: Sequence[str]) -> None:
    if min(task.height, task.width) < 32:
        raise UserError(f'shape={task.height} {task.width} is too small: expected 32 pixels or more a side.')
    if task.widen_factor not in TABLE_5:
        raise UserError(f'width={task.widen_factor} is not in the paper: expected {", ".join(map(str, TABLE_5))}.')
    if task.threads < 1 or rounds < 1:
        raise UserError(f'threads={task.threads} rounds={rounds}: expected 1 or more of each.')
    if task.config is not None:
        require_detector(load_config(task.config), 'Measured is the way from an image to boxes')
    usable_device(task.device)
    if not chosen(task, skip):
        raise UserError(f'skip={" ".join(skip)} leaves nothing to measure of '
                        f'{", ".join(form.name for form in contenders(task))}.')


def _on_sigterm(handler: Any) -> Any:
    """Set what SIGTERM does, where that is possible; returns what it did before."""
    if handler is not None and threading.current_thread() is threading.main_thread():
        return install('signal:SIGINT and SIGTERM', signal.signal, signal.SIGTERM, handler)
    return None
