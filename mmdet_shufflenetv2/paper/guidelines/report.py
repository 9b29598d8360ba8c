"""Report of a run as Markdown tables with the paper's figures, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...profiling.memory_access import Kind
from ...utils import files as storage
from .breakdown import kinds_of, shares
from .figure import draw
from .measure import Measurement, TableResult
from .suite import Run
from .tables import FAMILIES, SIZES, TABLES
from .verdict import Verdict

__all__ = ['markdown', 'save', 'to_json']


def save(run: Run, out_dir: Path) -> list[Path]:
    """Write tables, JSON and, of a complete run, the figure.

    Returns:
        The files: ``RUNTIME_CHANNELS[_Nthreads].md``, ``.json`` and ``.png``. For a run of single guidelines the names
        also contain these, so that the files of a complete run are kept.
    """
    complete = len(run.tables) == len(TABLES)
    stem = '_'.join([run.name, *(() if complete else (table.guideline for table in run.tables))])
    out_dir.mkdir(parents=True, exist_ok=True)
    files = [out_dir / f'{stem}.md', out_dir / f'{stem}.json']
    storage.write_atomically(files[0], markdown(run) + '\n')
    storage.write_atomically(files[1], to_json(run) + '\n')
    if complete:
        files.append(out_dir / f'{stem}.png')
        draw(run, files[-1])
    return files


def to_json(run: Run) -> str:
    """All measurements; times in seconds."""

    def plain(value: Any) -> Any:
        if hasattr(value, '_asdict'):
            return {name: plain(entry) for name, entry in value._asdict().items()}
        if isinstance(value, list):
            return [plain(entry) for entry in value]
        return value

    document = plain(run)
    for table, written in zip(run.tables, document['tables']):
        written['verdict'] = table.verdict()
    return storage.to_json(document, indent=1)


def markdown(run: Run) -> str:
    """The tables with the paper's figures, the verdicts on each, and the breakdown."""
    parts = [
        f'{run.title}; channel counts of the {run.family.upper()} columns. Images per second, one at a time; the '
        f'spread is the interquartile range over the median. Paper: {FAMILIES[run.family]}.'
    ]
    for table in run.tables:
        parts += ['\n'.join(_table(table)), '\n'.join(_verdicts(table))]
    if run.breakdown:
        parts.append('\n'.join(_breakdown(run.breakdown)))
    return '\n\n'.join(parts)


def _table(table: TableResult) -> Iterator[str]:
    yield f'### {table.guideline}: {TABLES[table.guideline].title}\n'
    columns = (
        'size',
        'row',
        'channels',
        'multiply-adds',
        'MAC',
        'element-wise',
        'images/s',
        'spread',
        'relative',
        'paper: images/s',
        'relative',
    )
    yield f'| {" | ".join(columns)} |'
    yield '| --- ' * len(columns) + '|'
    for measurement in table.measurements:
        yield f'| {" | ".join(_cells(measurement))} |'


def _cells(measurement: Measurement) -> tuple[str, ...]:
    cost, (low, high) = measurement.cost, measurement.relative_range
    return (
        f'x{cost.size}',
        cost.row,
        ' -> '.join(map(str, cost.channels)),
        f'{cost.multiply_adds / 1e6:.1f}M',
        f'{cost.mac / 1e6:.2f}M',
        f'{cost.elementwise / 1e6:.2f}M',
        f'{measurement.speed:.1f}',
        f'{measurement.timing.spread:.0%}',
        f'{measurement.relative:.2f} ({low:.2f} to {high:.2f})',
        f'{measurement.paper_speed:g}',
        f'{measurement.paper_relative:.2f}',
    )


def _verdicts(table: TableResult) -> Iterator[str]:
    yield f'**{table.guideline} {table.verdict()}.**'
    for size in SIZES:
        pairs = [pair for pair in table.pairs if pair.size == size]
        held = [pair for pair in pairs if pair.comparison.verdict == Verdict.HOLDS]
        line = f'- x{size}: {table.verdict(size)}; {len(held)} of {len(pairs)} pairs are in the claimed order'
        for pair in pairs:
            ratio, low, high, found = pair.comparison
            if found != Verdict.HOLDS:
                line += (
                    f'; {"not" if found == Verdict.FAILS else found}: {pair.slower} takes {ratio:.2f} '
                    f'({low:.2f} to {high:.2f}) times as long as {pair.faster}'
                )
        yield line + '.'


def _breakdown(breakdown: dict[str, dict[Kind, float]]) -> Iterator[str]:
    kinds = kinds_of(breakdown)
    yield '### Run time of ShuffleNet V2 by kind of operation (224x224)\n'
    yield f'| width | milliseconds | {" | ".join(kinds)} |'
    yield '| --- ' * (len(kinds) + 2) + '|'
    for width, times in breakdown.items():
        yield (
            f'| {width} | {sum(times.values()) * 1e3:.2f} | '
            + ' | '.join(f'{shares(times)[kind]:.0%}' for kind in kinds)
            + ' |'
        )
