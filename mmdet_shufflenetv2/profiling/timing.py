"""Timing several calls against each other on a machine that may be busy.

The calls alternate, round by round, so that a slow phase of the machine affects all of them alike. Every other round
runs in reverse order, which evens out the effects of the caches.
"""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

__all__ = ['Timing', 'hardware_title', 'machine_name', 'slug', 'summarize', 'time_alternating']


class Timing(NamedTuple):
    """Statistics of the timed rounds: seconds per call, and their spread."""

    median: float
    #: 90th percentile.
    p90: float
    #: Interquartile range over median; 0.1 means that the middle half of the rounds spans a tenth of the median.
    spread: float


def time_alternating(
    calls: dict[str, Callable[[], object]],
    *,
    rounds: int,
    warmup: int = 3,
    device: str = 'cpu',
    progress: str | None = None,
    seconds: dict[str, list[float]] | None = None,
) -> dict[str, list[float]]:
    """Time calls alternately: each once per round, in the given order and every other round in reverse.

    Args:
        calls: Name -> call to time. A call that computes on a GPU may return before the GPU has finished.
        rounds: Number of timed rounds.
        warmup: Number of earlier rounds that are not timed.
        device: Device of the calls. On ``cuda`` devices CUDA events measure the time, otherwise the clock.
        progress: Title of the progress bar; None shows none.
        seconds: Receives the result during the measurement, so that it is available after an interruption.

    Returns:
        Name -> seconds of each round. Rounds with the same index ran next to each other in time.
    """
    timed = _seconds_on_gpu if torch.device(device).type == 'cuda' else _seconds
    seconds = {} if seconds is None else seconds
    seconds.update({name: [] for name in calls})
    names = list(calls)
    for number in tqdm(range(warmup + rounds), desc=progress, unit='round', disable=progress is None):
        for name in names if number % 2 == 0 else reversed(names):
            taken = timed(calls[name])
            if number >= warmup:
                seconds[name].append(taken)
    return seconds


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _seconds_on_gpu(call: Callable[[], object]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]  # of PyTorch
    torch.cuda.synchronize()
    start.record()
    call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def summarize(seconds: Sequence[float]) -> Timing:
    """Median, 90th percentile and spread of the rounds."""
    low, median, high, p90 = np.percentile(seconds, (25, 50, 75, 90)).tolist()
    return Timing(median, p90, (high - low) / median)


def machine_name(device: str = 'cpu', cpuinfo: Path = Path('/proc/cpuinfo')) -> str:
    """Model name of the processor or GPU, such as ``AMD EPYC 7763 64-Core Processor``.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        cpuinfo: File with the processor's name on Linux; on other systems Python's ``platform`` is used.
    """
    if torch.device(device).type == 'cuda':
        return torch.cuda.get_device_name(device)
    named = re.search(r'^model name\s*:\s*(.+)$', cpuinfo.read_text(), re.MULTILINE) if cpuinfo.is_file() else None
    return named[1].strip() if named else platform.processor() or platform.machine()


def hardware_title(machine: str, device: str, threads: int) -> str:
    """Title of the hardware: ``AMD EPYC, 2 threads``, or only the GPU's name."""
    return f'{machine}, {threads} thread{"s" * (threads > 1)}' if torch.device(device).type == 'cpu' else machine


def slug(name: str) -> str:
    """A name as a folder name: ``AMD EPYC 7763 64-Core Processor`` becomes ``amd-epyc-7763-64-core-processor``."""
    return re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')
