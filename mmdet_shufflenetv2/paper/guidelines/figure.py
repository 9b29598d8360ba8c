"""Figure of a run: one panel per guideline, and the breakdown of ShuffleNet V2."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...profiling.memory_access import Kind
from ...utils.files import unfinished_file
from .breakdown import kinds_of, shares
from .measure import TableResult
from .suite import Run
from .tables import FAMILIES, SIZES, TABLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ['KIND_COLORS', 'draw']

_SIZE_COLORS = ('#9ecae1', '#4292c6', '#08519c')
KIND_COLORS: dict[str, str] = {
    Kind.CONVOLUTION: '#4292c6',
    Kind.MATRIX_PRODUCT: '#41b6c4',
    Kind.ELEMENTWISE: '#f16913',
    Kind.DATA_MOVEMENT: '#74c476',
    Kind.OTHER: '#bdbdbd',
}


def draw(run: Run, path: Path) -> None:
    """Draw the figure of a complete run and write it to a file."""
    # Not pyplot, which has global state.
    from matplotlib.figure import Figure  # takes a second, and only figures need it

    figure = Figure(figsize=(14, 7.2), layout='constrained')
    panels = figure.subplot_mosaic([['G1', 'G2', 'breakdown'], ['G3', 'G4', 'breakdown']])
    figure.suptitle(f'{run.title}; paper: {FAMILIES[run.family]}')
    for table in run.tables:
        _draw_table(panels[table.guideline], table)
    _draw_breakdown(panels['breakdown'], run.breakdown)
    with unfinished_file(path) as unfinished:
        figure.savefig(unfinished, dpi=110)


def _draw_table(panel: Axes, table: TableResult) -> None:
    """Draw bars for the speed relative to the row that follows the guideline, and circles for the paper's."""
    rows = TABLES[table.guideline].rows
    width = 0.8 / len(SIZES)
    for number, (size, color) in enumerate(zip(SIZES, _SIZE_COLORS)):
        column = [m for m in table.measurements if m.cost.size == size]
        positions = [row + (number - 1) * width for row in range(len(rows))]
        below = [m.relative - m.relative_range[0] for m in column]
        above = [m.relative_range[1] - m.relative for m in column]
        panel.bar(
            positions,
            [m.relative for m in column],
            width,
            yerr=(below, above),
            color=color,
            ecolor='gray',
            label=f'x{size}: {table.verdict(size)}',
        )
        panel.plot(
            positions,
            [m.paper_relative for m in column],
            'o',
            markersize=5,
            markerfacecolor='white',
            markeredgecolor='black',
            linestyle='none',
            label='paper' if size == SIZES[-1] else None,
        )
    panel.axhline(1, color='gray', linewidth=0.8)
    panel.set_xticks(range(len(rows)), [row.name.replace(' in ', '\nin ').replace(', ', ',\n') for row in rows])
    panel.set_title(f'{table.guideline}: {TABLES[table.guideline].title}')
    panel.set_ylabel('relative speed')
    panel.set_ylim(0, 1.45 * max(m.relative_range[1] for m in table.measurements))
    panel.legend(fontsize='small', ncols=2, loc='upper center')


def _draw_breakdown(panel: Axes, breakdown: dict[str, dict[Kind, float]]) -> None:
    bottom = [0.0] * len(breakdown)
    for kind in kinds_of(breakdown):
        heights = [shares(times)[kind] for times in breakdown.values()]
        panel.bar(list(breakdown), heights, 0.7, bottom, color=KIND_COLORS[kind], label=kind)
        for position, (height, low) in enumerate(zip(heights, bottom)):
            if height > 0.03:  # a smaller bar has no room for its label
                panel.text(position, low + height / 2, f'{height:.0%}', ha='center', va='center')
        bottom = [low + height for low, height in zip(bottom, heights)]
    panel.set_xticks(
        range(len(breakdown)), [f'{width}\n{sum(times.values()) * 1e3:.1f} ms' for width, times in breakdown.items()]
    )
    panel.set_title('Run time of ShuffleNet V2, 224x224')
    panel.set_ylim(0, 1)
    panel.legend(fontsize='small', ncols=2, loc='upper center', bbox_to_anchor=(0.5, -0.07))
