"""Report of a benchmark as Markdown, JSON and a bar chart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...utils.files import unfinished_file, write_atomically, write_json
from .measure import Benchmark

__all__ = ['markdown', 'save']


def markdown(done: Benchmark) -> str:
    """A section with the machine, the table, and the forms that were left out."""
    task = done.task
    lines = [
        f'## {task.title}',
        '',
        *([f'**Partial: {done.stopped}.**', ''] if done.stopped else []),
        f'{done.machine}, {task.threads} threads, batch 1, '
        f'{", ".join(f"{name} {version}" for name, version in done.versions.items())}. '
        f'{done.multiply_adds / 1e9:.2f}G multiply-adds; elements read and written by convolutions '
        f'{done.convolution_mac / 1e6:.0f}M, by element-wise operations {done.elementwise / 1e6:.0f}M, by copies '
        f'{done.copied / 1e6:.0f}M.',
        '',
        f'| form | median | p90 | speed against {done.rows[0].name} | against the plain form | peak memory |',
        '| --- ' * 6 + '|',
    ]
    for row in done.rows:
        plain = '' if row.against_plain is None else f'{row.against_plain:.2f}x'
        memory = '' if row.memory is None else f'{row.memory:.0f} MiB'
        lines.append(
            f'| {row.name} | {row.timing.median * 1e3:.1f} ms | {row.timing.p90 * 1e3:.1f} ms | '
            f'{row.speedup:.2f}x | {plain} | {memory} |'
        )
    if done.left_out:
        lines += ['', *(f'Left out: {name}: {why}.' for name, why in done.left_out.items())]
    return '\n'.join(lines)


def save(results: Sequence[Benchmark], out: Path, command: str, missing: Sequence[str] = ()) -> None:
    """Write ``README.md``, ``results.json`` and ``latency.png`` to a folder, which is created.

    ``command`` is the command line, ``missing`` the titles of tasks that were not started.
    """
    out.mkdir(parents=True, exist_ok=True)
    head = (
        f'# Latency on {results[0].machine}\n\nWritten by `{command}`. The forms of a network run alternately '
        f'in one process, so ratios are more reliable than milliseconds; "speed" is the median of the rounds\' '
        f'ratios.\n'
    )
    if missing:
        head += f'\n**Partial: stopped before {", ".join(missing)}.**\n'
    tables = '\n\n'.join(markdown(done) for done in results)
    write_atomically(out / 'README.md', f'{head}\n![Median latency](latency.png)\n\n{tables}\n')
    write_json(out / 'results.json', [_plain(done) for done in results], indent=1)
    _draw(results, out / 'latency.png')


def _plain(done: Benchmark) -> dict[str, Any]:
    return done._asdict() | dict(
        task=done.task._asdict(), rows=[row._asdict() | dict(timing=row.timing._asdict()) for row in done.rows]
    )


def _draw(results: Sequence[Benchmark], path: Path) -> None:
    from matplotlib.figure import Figure  # takes a second, and only figures need it

    figure = Figure(figsize=(9, sum(0.32 * len(done.rows) + 0.9 for done in results)), layout='constrained')
    panels = figure.subplots(len(results), 1, squeeze=False, height_ratios=[len(done.rows) + 2 for done in results])[
        :, 0
    ]
    for panel, done in zip(panels, results):
        names = [row.name for row in done.rows][::-1]
        medians = [row.timing.median * 1e3 for row in done.rows][::-1]
        colors = ['#1f77b4' if 'shuffle-free' in name else '#b0b7bf' for name in names]
        bars = panel.barh(names, medians, color=colors)
        panel.bar_label(bars, fmt='%.1f', padding=3, fontsize=8)
        panel.set_title(done.task.title, fontsize=10, loc='left')
        panel.set_xlabel('median latency in ms', fontsize=8)
        panel.tick_params(labelsize=8)
        panel.margins(x=0.1)
        panel.spines[['top', 'right']].set_visible(False)
    with unfinished_file(path) as unfinished:
        figure.savefig(unfinished, dpi=130)
