"""Benchmark of a network's latency, memory and cost in every form and runtime, compared to other implementations."""

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
from .measure import Benchmark, benchmark, contenders, select_contenders
from .report import save
from .task import Task

__all__ = ['Task', 'benchmark', 'run_benchmarks']


def run_benchmarks(
    tasks: Sequence[Task], *, out: Path | None, rounds: int, memory: bool, skip: Sequence[str] = (), command: str
) -> Path:
    """Run :func:`benchmark` on several tasks, write a report and return its folder; ``snv2 benchmark`` calls this.

    Args:
        out: That folder; by default ``benchmarks/latency/`` and the machine's name.
        command: Command line, for the report.

    Raises:
        UserError: If an argument or a config is invalid, the device is not available, or the folder cannot be created.
        StoppedError: If Ctrl-C or SIGTERM stopped it; the measurements up to then are written.
    """
    tasks = [task._replace(config=task.config or task.checkpoint) for task in tasks]  # which contains its config
    for task in tasks:
        _check_task(task, rounds, skip)
    # Created first, so that a failure is reported before the measurement.
    out = make_folder(out or Path('benchmarks/latency') / slug(machine_name(tasks[0].device)), 'out_dir')
    results: list[Benchmark] = []
    received: list[int] = []

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
    save(results, out, command, [task.title for task in tasks[len(results) :]])
    if received:
        raise StoppedError(
            f'Stopped. The measurements up to then are in {out}/README.md and results.json, marked as partial.',
            128 + received[0],
        )
    return out


def _check_task(task: Task, rounds: int, skip: Sequence[str]) -> None:
    if min(task.height, task.width) < 32:
        raise UserError(f'shape={task.height} {task.width} is too small: expected at least 32 pixels per side.')
    if task.widen_factor not in TABLE_5:
        raise UserError(f'width={task.widen_factor} is not in the paper: expected {", ".join(map(str, TABLE_5))}.')
    if task.threads < 1 or rounds < 1:
        raise UserError(f'threads={task.threads} rounds={rounds}: expected at least 1.')
    if task.config is not None:
        require_detector(load_config(task.config), 'The benchmark measures detection from an image to boxes')
    usable_device(task.device)
    if not select_contenders(task, skip):
        raise UserError(
            f'skip={" ".join(skip)} excludes all forms: {", ".join(form.name for form in contenders(task))}.'
        )


def _on_sigterm(handler: Any) -> Any:
    """Set the handler of SIGTERM if this is the main thread, and return the previous one."""
    if handler is not None and threading.current_thread() is threading.main_thread():
        return install('signal:SIGINT and SIGTERM', signal.signal, signal.SIGTERM, handler)
    return None
