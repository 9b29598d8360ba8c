"""A whole run: tables, breakdown, and on what they were measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch

from ...profiling.memory_access import Kind
from ...profiling.timing import computing, machine_name
from ...utils.device import usable_device
from ...utils.errors import UserError
from ...utils.files import make_folder
from .breakdown import shufflenet_breakdown
from .measure import TableResult, measure_table
from .runtimes import check_runtime
from .tables import FAMILIES, TABLES

__all__ = ['Run', 'run']


class Run(NamedTuple):
    """What was measured, and on what."""

    machine: str
    device: str
    #: Threads that compute, on the CPU.
    threads: int
    #: ``torch 2.15.0`` or ``onnxruntime 1.32.0``.
    runtime: str
    family: str
    tables: list[TableResult]
    #: Seconds per run of ShuffleNet V2 by width and kind of operation.
    breakdown: dict[str, dict[Kind, float]]

    @property
    def title(self) -> str:
        """On what it was measured, such as ``AMD EPYC, 2 threads, torch 2.15.0``."""
        return f'{computing(self.machine, self.device, self.threads)}, {self.runtime}'

    @property
    def name(self) -> str:
        """What tells this run from others on the same machine, as part of a file's name: ``torch_arm_2threads``."""
        threads = [f'{self.threads}thread{"s" * (self.threads > 1)}'] if self.device == 'cpu' else []
        return '_'.join([self.runtime.split()[0], self.family, *threads])


def run(guidelines: Sequence[str] = tuple(TABLES), *, device: str = 'cpu', threads: int | None = None,
        runtime: str = 'torch', family: str | None = None, seconds: float = 10, progress: bool = True,
        out_dir: Path | None = None) -> Run:
    """Measure the guidelines on this machine.

    Args:
        guidelines: Some of ``G1`` to ``G4``. The breakdown of ShuffleNet V2 is measured where all are asked for.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: Threads on the CPU; None leaves PyTorch's own choice.
        runtime: ``torch`` or ``onnxruntime``.
        family: Which of the paper's channel counts, ``gpu`` or ``arm``; None takes ``gpu`` on a GPU and else ``arm``.
        seconds: How long to time one column of a table.
        progress: Whether to show progress bars.
        out_dir: Where the results shall go: made first, so that nothing is measured that cannot be saved.

    Raises:
        UserError: If the device is not there, the runtime not installed, an argument out of range, or the folder
            cannot be made.
    """
    kind = usable_device(device).type
    check_runtime(runtime, torch.device(device))
    family = family or ('gpu' if kind == 'cuda' else 'arm')
    if unknown := set(guidelines) - set(TABLES) or {family} - set(FAMILIES):
        raise UserError(f'There is no {", ".join(map(repr, unknown))}: allowed are the guidelines {", ".join(TABLES)} '
                        f'and the channel counts {", ".join(FAMILIES)}.')
    if not 0 < seconds < math.inf or (threads is not None and threads < 1):
        raise UserError(f'threads={threads} seconds={seconds}: both must be numbers above 0.')
    if threads is not None:
        torch.set_num_threads(threads)
    if out_dir is not None:
        make_folder(out_dir, 'out_dir')
    options = dict(runtime=runtime, device=device, progress=progress)
    tables = [measure_table(guideline, family, seconds=seconds, **options) for guideline in guidelines]
    breakdown = shufflenet_breakdown(**options) if len(tables) == len(TABLES) else {}
    return Run(machine_name(device), kind, torch.get_num_threads(), f'{runtime} {version(runtime)}', family, tables,
               breakdown)
