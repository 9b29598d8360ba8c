"""A complete measurement of the guidelines: tables, breakdown and machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ...profiling.memory_access import Kind
from ...profiling.timing import hardware_title, machine_name
from ...utils.device import usable_device
from ...utils.errors import UserError
from ...utils.files import make_folder
from .breakdown import shufflenet_breakdown
from .measure import TableResult, measure_table
from .runtimes import check_runtime
from .tables import FAMILIES, TABLES

__all__ = ['Run', 'run']


class Run(NamedTuple):
    """Results of a measurement, with the machine and the runtime."""

    machine: str
    device: str
    #: Threads on the CPU.
    threads: int
    #: ``torch 2.15.0`` or ``onnxruntime 1.32.0``.
    runtime: str
    family: str
    tables: list[TableResult]
    #: Seconds per run of ShuffleNet V2 by width and kind of operation.
    breakdown: dict[str, dict[Kind, float]]

    @property
    def title(self) -> str:
        """Machine and runtime, such as ``AMD EPYC, 2 threads, torch 2.15.0``."""
        return f'{hardware_title(self.machine, self.device, self.threads)}, {self.runtime}'

    @property
    def name(self) -> str:
        """Name of the run among those on the same machine, for its files: ``torch_arm_2threads``."""
        threads = [f'{self.threads}thread{"s" * (self.threads > 1)}'] if self.device == 'cpu' else []
        return '_'.join([self.runtime.split()[0], self.family, *threads])


def run(
    guidelines: Sequence[str] = tuple(TABLES),
    *,
    device: str = 'cpu',
    threads: int | None = None,
    runtime: str = 'torch',
    family: str | None = None,
    seconds: float = 10,
    progress: bool = True,
    out_dir: Path | None = None,
) -> Run:
    """Measure the guidelines on this machine.

    Args:
        guidelines: Some of ``G1`` to ``G4``. With all of them, the breakdown of ShuffleNet V2 is measured too.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: Threads on the CPU; None keeps PyTorch's default.
        runtime: ``torch`` or ``onnxruntime``.
        family: Set of the paper's channel counts, ``gpu`` or ``arm``; None takes ``gpu`` on a GPU, otherwise ``arm``.
        seconds: Duration of each column of a table.
        progress: Whether to show progress bars.
        out_dir: Folder for the results, created first so that a failure is reported before the measurement.

    Raises:
        UserError: If the device is not available, the runtime is not installed, an argument is out of range, or the
            folder cannot be created.
    """
    kind = usable_device(device).type
    check_runtime(runtime, torch.device(device))
    family = family or ('gpu' if kind == 'cuda' else 'arm')
    if unknown := set(guidelines) - set(TABLES) or {family} - set(FAMILIES):
        raise UserError(
            f'Unknown guideline or channel counts: {", ".join(unknown)}. Expected the guidelines '
            f'{", ".join(TABLES)} and the channel counts {", ".join(FAMILIES)}.'
        )
    if not 0 < seconds < math.inf or (threads is not None and threads < 1):
        raise UserError(f'threads={threads} seconds={seconds}: both must be numbers above 0.')
    if threads is not None:
        torch.set_num_threads(threads)
    if out_dir is not None:
        make_folder(out_dir, 'out_dir')
    options: dict[str, Any] = dict(runtime=runtime, device=device, progress=progress)
    tables = [measure_table(guideline, family, seconds=seconds, **options) for guideline in guidelines]
    breakdown = shufflenet_breakdown(**options) if len(tables) == len(TABLES) else {}
    return Run(
        machine_name(device), kind, torch.get_num_threads(), f'{runtime} {version(runtime)}', family, tables, breakdown
    )
