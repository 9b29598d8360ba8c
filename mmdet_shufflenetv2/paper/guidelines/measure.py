"""Timing the rows of a table against each other."""

from __future__ import annotations

from typing import NamedTuple

from ...profiling.memory_access import Kind, elements_by_kind, trace_operations
from ...profiling.timing import Timing, summarize, time_alternating
from .networks import random_input
from .runtimes import make_call
from .tables import SIZES, TABLES
from .verdict import PARTS, Comparison, Verdict, compare, verdict

__all__ = ['Cost', 'Measurement', 'Pair', 'TableResult', 'costs', 'measure_table']

#: Minimum number of timed rounds of a column: three for each part of the run.
MIN_ROUNDS = 3 * PARTS


class Cost(NamedTuple):
    """Counted cost of a network of the tables, on one image."""

    row: str
    size: int
    #: Input and output channels of its first convolution.
    channels: tuple[int, int]
    multiply_adds: int
    #: Memory access cost of the convolutions, in elements.
    mac: int
    #: Elements read and written by element-wise operations.
    elementwise: int


class Measurement(NamedTuple):
    """Measured speed of a network of the tables."""

    cost: Cost
    timing: Timing
    #: Images per second, here and in the paper.
    speed: float
    paper_speed: float
    #: Speed relative to the row that follows the guideline: the median of the rounds, and the minimum and maximum over
    #: the parts of the run.
    relative: float
    relative_range: tuple[float, float]
    paper_relative: float


class Pair(NamedTuple):
    """One claim of a guideline: the first row is faster than the second."""

    size: int
    faster: str
    slower: str
    comparison: Comparison


class TableResult(NamedTuple):
    """A measured table: its rows by size, and the result for each claim."""

    guideline: str
    measurements: list[Measurement]
    pairs: list[Pair]

    def verdict(self, size: int | None = None) -> Verdict:
        """The verdict on the guideline, or on one column of its table."""
        return verdict(pair.comparison.verdict for pair in self.pairs if size in (None, pair.size))


def costs(guideline: str, family: str) -> list[Cost]:
    """Multiply-adds and memory access cost of all networks of a table, counted on the meta device."""
    found = []
    for size in SIZES:
        for row in TABLES[guideline].rows:
            network = row.build(family, size).to('meta')
            operations = trace_operations(network, random_input(network, 'meta'))
            first = next(o.convolution for o in operations if o.convolution)
            elements = elements_by_kind(operations)
            found.append(
                Cost(
                    row.name,
                    size,
                    (first.in_channels, first.out_channels),
                    sum(o.multiply_adds for o in operations),
                    elements[Kind.CONVOLUTION],
                    elements[Kind.ELEMENTWISE],
                )
            )
    return found


def measure_table(
    guideline: str,
    family: str,
    *,
    runtime: str = 'torch',
    device: str = 'cpu',
    seconds: float = 10,
    progress: bool = True,
) -> TableResult:
    """Time a table column by column, one image at a time; the rows of a column alternate.

    Args:
        guideline: ``G1`` to ``G4``.
        family: Set of the paper's channel counts, ``gpu`` or ``arm``.
        runtime: ``torch`` or ``onnxruntime``.
        seconds: Duration of a column; slow networks take longer, since at least 21 rounds are timed.
    """
    table = TABLES[guideline]
    measurements: list[Measurement] = []
    pairs: list[Pair] = []
    all_costs = iter(costs(guideline, family))
    for column, size in enumerate(SIZES):
        networks = [row.build(family, size).to(device) for row in table.rows]
        calls = {
            row.name: make_call(runtime, network, random_input(network, device))
            for row, network in zip(table.rows, networks)
        }
        trial = time_alternating(calls, rounds=1, device=device)
        rounds = max(MIN_ROUNDS, round(seconds / sum(map(sum, trial.values()))))
        taken = time_alternating(
            calls, rounds=rounds, warmup=0, device=device, progress=f'{guideline} x{size}' if progress else None
        )
        best = table.rows[table.best]
        for row in table.rows:
            timing = summarize(taken[row.name])
            relative, low, high, _ = compare(taken[row.name], taken[best.name])
            speed = row.speeds[family][column]
            measurements.append(
                Measurement(
                    next(all_costs),
                    timing,
                    1 / timing.median,
                    speed,
                    relative,
                    (low, high),
                    speed / best.speeds[family][column],
                )
            )
        for faster, slower in ((table.rows[a].name, table.rows[b].name) for a, b in table.claims):
            pairs.append(Pair(size, faster, slower, compare(taken[faster], taken[slower])))
    return TableResult(guideline, measurements, pairs)
