"""Peak memory of one form of a network, in a process of its own."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from pathlib import Path

import torch

from .task import Contender, Task

__all__ = ['peak_memory']


def peak_memory(task: Task, name: str, contenders: Callable[[Task], list[Contender]]) -> float | None:
    """Most memory that running the form needs beyond what holding it needs, in MiB; None if it cannot be told.

    On the CPU that is how far the resident size of the process rises in the first three runs, weights that a runtime
    lays out anew included; on a GPU what PyTorch has allocated at most.
    """
    ignore = (signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    with multiprocessing.get_context('spawn').Pool(1, signal.signal, ignore) as pool:
        return pool.apply(_peak, (task, name, contenders))


def _peak(task: Task, name: str, contenders: Callable[[Task], list[Contender]]) -> float | None:
    torch.set_num_threads(task.threads)
    contender = next(contender for contender in contenders(task) if contender.name == name)
    if contender.runs_when_built:
        return None
    call = contender.build()
    if task.device != 'cpu':
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        call()
        return (torch.cuda.max_memory_allocated() - held) / 2**20
    return _rise_of_resident_memory(call)


def _rise_of_resident_memory(call: Callable[[], object]) -> float | None:
    reset, status = Path('/proc/self/clear_refs'), Path('/proc/self/status')
    if not reset.exists():
        return None  # Linux alone forgets a peak, that of building the network here
    reset.write_text('5')
    held = _kib(status, 'VmRSS')
    for _ in range(3):
        call()
    return (_kib(status, 'VmHWM') - held) / 2**10


def _kib(status: Path, entry: str) -> int:
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(f'{entry}:'))
