"""Timing things beside each other on a machine that does other work too.

What is compared takes turns, round by round, so that a slow minute of the machine slows all of it alike; what one call
leaves in the caches is evened out by turning the order around every other round.
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

__all__ = ['Timing', 'computing', 'machine_name', 'slug', 'summarize', 'time_alternating']


class Timing(NamedTuple):
    """What a number of rounds came to: seconds a call, and how far they lie apart."""

    median: float
    #: Nine of ten calls took no longer than this many seconds.
    p90: float
    #: Interquartile range over median; 0.1 says that the middle half of the rounds lies within a tenth of the median.
    spread: float


def time_alternating(calls: dict[str, Callable[[], object]], *, rounds: int, warmup: int = 3, device: str = 'cpu',
                     progress: str | None = None,
                     seconds: dict[str, list[float]] | None = None) -> dict[str, list[float]]:
    """Time calls in turns: each once a round, in the given order and, every other round, from the last to the first.

    Args:
        calls: What to time, by name. A call that computes on a GPU may return before the GPU is done.
        rounds: Number of timed rounds.
        warmup: Rounds before them that are not timed.
        device: Where the calls compute. On ``cuda`` devices the GPU's own events give the time, else the clock.
        progress: What to call the progress bar; None shows none.
        seconds: Gets what is returned while it is measured, for whoever stops that.

    Returns:
        Seconds of each round by name. Round i of one and round i of another stand beside each other in time.
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
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    start.record()
    call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def summarize(seconds: Sequence[float]) -> Timing:
    """Median, 90th percentile and spread of a series of rounds."""
    low, median, high, p90 = np.percentile(seconds, (25, 50, 75, 90)).tolist()
    return Timing(median, p90, (high - low) / median)


def machine_name(device: str = 'cpu', cpuinfo: Path = Path('/proc/cpuinfo')) -> str:
    """Name of the processor or GPU that computes, as its maker calls it, such as ``AMD EPYC 7763 64-Core Processor``.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        cpuinfo: Where Linux names the processor; elsewhere Python's ``platform`` is asked.
    """
    if torch.device(device).type == 'cuda':
        return torch.cuda.get_device_name(device)
    named = re.search(r'^model name\s*:\s*(.+)$', cpuinfo.read_text(), re.MULTILINE) if cpuinfo.is_file() else None
    return named[1].strip() if named else platform.processor() or platform.machine()


def computing(machine: str, device: str, threads: int) -> str:
    """What computes, for a title: ``AMD EPYC, 2 threads``, or a GPU's name alone."""
    return f'{machine}, {threads} thread{"s" * (threads > 1)}' if torch.device(device).type == 'cpu' else machine


def slug(name: str) -> str:
    """A name as a folder's: ``AMD EPYC 7763 64-Core Processor`` becomes ``amd-epyc-7763-64-core-processor``."""
    return re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')
