"""Measuring all forms of a network alternately."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from ...utils.errors import UserError
from ..memory_access import Kind, elements_by_kind, trace_operations
from ..timing import Timing, machine_name, summarize, time_alternating
from .backbones import backbone_contenders, our_backbone
from .detectors import detector_batch, detector_contenders, make_detector
from .memory import peak_memory
from .task import Contender, Task, UnavailableError

__all__ = ['Benchmark', 'Row', 'benchmark', 'contenders', 'select_contenders']


class Row(NamedTuple):
    """One form of the network."""

    name: str
    timing: Timing
    #: Median over the rounds of the ratio of the first form's time to this form's; above 1 is faster.
    speedup: float
    #: The same against the plain form in the same runtime; None for a plain form.
    against_plain: float | None
    #: Peak memory in MiB, see :func:`.peak_memory`.
    memory: float | None


class Benchmark(NamedTuple):
    """Result of a task. Multiply-adds and memory access cost are those of the plain network."""

    task: Task
    machine: str
    versions: dict[str, str]
    multiply_adds: int
    #: Elements read and written by convolutions, as in the paper (section 2).
    convolution_mac: int
    #: Elements read and written by element-wise operations, and by copies.
    elementwise: int
    copied: int
    rows: list[Row]
    #: Form that could not be measured -> reason.
    left_out: dict[str, str]
    #: Progress when it was interrupted; None if it is complete.
    stopped: str | None = None


def contenders(task: Task) -> list[Contender]:
    """All forms of the task's network; the first one that can run is the reference."""
    return backbone_contenders(task) if task.config is None else detector_contenders(task)


def select_contenders(task: Task, skip: Sequence[str]) -> list[Contender]:
    """The forms whose names contain none of the words."""
    return [contender for contender in contenders(task) if not any(word in contender.name for word in skip)]


def benchmark(task: Task, rounds: int = 30, memory: bool = True, skip: Sequence[str] = ()) -> Benchmark:
    """Measure all forms of a network alternately, with the same weights, input and threads.

    Args:
        task: The network and its input.
        rounds: Timed rounds; each form runs once in each.
        memory: Whether to measure peak memory too, each form in its own process.
        skip: Forms with one of these words in their name are not measured.

    Returns:
        The result, partial if Ctrl-C stopped it after at least one round.

    Raises:
        UserError: If the config is invalid, or none of the forms can run.
        KeyboardInterrupt: If it was stopped in the first round.
    """
    torch.set_num_threads(task.threads)
    forms, calls, left_out = select_contenders(task, skip), {}, {}
    for contender in tqdm(forms, desc='building', unit='form'):
        try:
            calls[contender.name] = contender.build()
        except UnavailableError as error:
            left_out[contender.name] = str(error)
    if not calls:
        raise UserError(
            f'None of the selected forms can run: {"; ".join(f"{name}: {why}" for name, why in left_out.items())}.'
        )
    seconds: dict[str, list[float]] = {}
    stopped, memories = None, dict[str, float | None].fromkeys(calls)
    try:
        seconds |= time_alternating(calls, rounds=rounds, device=task.device, progress=task.title, seconds=seconds)
        for name in tqdm(calls if memory else (), desc='memory', unit='form', disable=not memory):
            memories[name] = peak_memory(task, name, contenders)
    except KeyboardInterrupt:
        complete = min(map(len, seconds.values()), default=0)
        if not complete:
            raise
        seconds = {name: times[:complete] for name, times in seconds.items()}
        stopped = (
            f'stopped after {complete} of {rounds} rounds'
            if complete < rounds
            else 'stopped while measuring peak memory'
        )
    return Benchmark(
        task, machine_name(task.device), _versions(), *_cost(task), _rows(forms, seconds, memories), left_out, stopped
    )


def _rows(forms: Sequence[Contender], seconds: dict[str, list[float]], memories: dict[str, float | None]) -> list[Row]:
    plain = {contender.name: seconds.get(contender.plain or '') for contender in forms}
    first = next(iter(seconds.values()))
    return [
        Row(
            name,
            summarize(times),
            _ratio(first, times),
            _ratio(reference, times) if (reference := plain[name]) else None,
            memories[name],
        )
        for name, times in seconds.items()
    ]


def _ratio(before: list[float], after: list[float]) -> float:
    return float(np.median(np.array(before) / np.array(after)))


def _cost(task: Task) -> tuple[int, int, int, int]:
    if task.config is None:
        operations = trace_operations(
            our_backbone(task._replace(device='cpu')), torch.zeros(1, 3, task.height, task.width)
        )
    else:
        model = make_detector(task._replace(device='cpu'))
        batch = model.data_preprocessor(detector_batch(task))
        operations = trace_operations(model, **batch, mode='tensor')
    elements = elements_by_kind(operations)
    return (
        sum(operation.multiply_adds for operation in operations),
        elements[Kind.CONVOLUTION],
        elements[Kind.ELEMENTWISE],
        elements[Kind.DATA_MOVEMENT],
    )


def _versions() -> dict[str, str]:
    found = {}
    for package in ('torch', 'torchvision', 'mmdet', 'mmpretrain', 'onnxruntime', 'openvino'):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
