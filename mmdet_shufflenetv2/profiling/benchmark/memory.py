"""Peak memory of one form of a network, measured in its own process."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from pathlib import Path

import torch

from .task import Contender, Task

__all__ = ['peak_memory']


def peak_memory(task: Task, name: str, contenders: Callable[[Task], list[Contender]]) -> float | None:
    """Peak memory of running the form, in addition to that of the loaded network, in MiB; None if it is unknown.

    On the CPU this is the increase of the process's resident size in the first three runs, including weights that a
    runtime rearranges; on a GPU the maximum that PyTorch has allocated.
    """
    ignore = (signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    with multiprocessing.get_context('spawn').Pool(1, signal.signal, ignore) as pool:
        return pool.apply(_peak, (task, name, contenders))


def _peak(task: Task, name: str, contenders: Callable[[Task], list[Contender]]) -> float | None:
    torch.set_num_threads(task.threads)
    contender = next(contender for contender in contenders(task) if contender.name == name)
    if contender.runs_when_built or (task.device != 'cpu' and name.startswith('onnxruntime')):
        return None  # on a GPU, PyTorch does not know what onnxruntime allocates
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
        return None  # only Linux can reset the peak, which includes building the network
    reset.write_text('5')
    held = _kib(status, 'VmRSS')
    for _ in range(3):
        call()
    return (_kib(status, 'VmHWM') - held) / 2**10


def _kib(status: Path, entry: str) -> int:
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(f'{entry}:'))
