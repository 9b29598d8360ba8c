"""Plot training curves of one or several runs from MMEngine's logs."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from itertools import chain, cycle
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ..utils.errors import UserError
from ..utils.files import unfinished_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure  # importing it takes a second

__all__ = ['SCORES', 'check_plot_file', 'draw_class_curves', 'draw_curves', 'draw_runs', 'plot_runs', 'read_scalars']

Series = dict[str, dict[int, float]]
#: Maximum number of classes in one figure.
_CLASSES = 20


def read_scalars(work_dir: str | os.PathLike[str]) -> tuple[Series, Series]:
    """Read the scalars that all runs in a work dir have logged.

    A resumed run has several logs. If two contain the same step, the later log is used.

    Returns:
        Training series and validation series, each as ``{name: {iteration: value}}``.
    """
    train: Series = {}
    val: Series = {}
    for log in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        iteration, resumed = 0, False
        for line in log.read_text().splitlines():
            try:
                scalars = json.loads(line)
            except ValueError:  # an incomplete line of a killed run
                continue
            series = train if 'iter' in scalars else val
            # A validation line has the epoch, so the iteration of the preceding training line is used.
            iteration = scalars.get('iter', iteration)
            if 'iter' in scalars and not resumed:
                resumed = True  # later points of earlier logs were lost, or counted in epochs of another length
                for points in (*train.values(), *val.values()):
                    for later in [each for each in points if each >= iteration]:
                        del points[later]
            for name, value in scalars.items():
                if name not in ('iter', 'epoch', 'step') and isinstance(value, (int, float)):
                    series.setdefault(name, {})[iteration] = value
    return train, val


def draw_curves(work_dir: str | os.PathLike[str], file: str | os.PathLike[str] | None = None) -> Path | None:
    """Plot losses, learning rate and AP or accuracy of one run over the iterations.

    For a detector with several evaluations, :func:`draw_class_curves` also writes ``class_curves.png`` next to it.

    Returns:
        The file, by default ``curves.png`` in the work dir; None if nothing is logged yet.
    """
    train, val = read_scalars(work_dir)
    if 'loss' not in train:
        return None
    scores = _scores(val)
    losses = {name: series for name, series in train.items() if 'loss' in name}
    losses |= {name: series for name, series in val.items() if name == 'val_loss'}
    figure, panels = _panels(bool(scores))
    for panel, series in zip(panels, (losses, {'lr': train.get('lr', {})}, scores)):
        for name, points in sorted(series.items(), key=lambda item: item[0] != 'loss'):
            panel.plot(
                list(points),
                list(points.values()),
                label=name,
                linewidth=2 if name in ('loss', 'val_loss', 'lr') or series is scores else 1,
                color='black' if name == 'val_loss' else None,
                marker='o' if series is scores or name == 'val_loss' else _marker(points),
                markersize=3,
            )
        if len(series) > 1:
            panel.legend(fontsize='small')
    path = Path(file or Path(work_dir) / 'curves.png')
    draw_class_curves(val, path.with_name(f'class_{path.name}'))
    return _save(figure, path)


def draw_class_curves(val: Series, file: Path) -> Path | None:
    """Plot the AP of each class over the iterations, at most the :data:`_CLASSES` classes with the lowest final AP.

    Args:
        val: Validation series of :func:`read_scalars`.
        file: File to write.

    Returns:
        The file; None if no class was evaluated more than once.
    """
    classes = {
        name.rpartition('_')[0].rpartition('/')[2]: points
        for name, points in val.items()
        if name.endswith('_precision') and any(map(isfinite, points.values()))
    }
    if max(map(len, classes.values()), default=0) < 2:
        return None
    from matplotlib.figure import Figure

    last = {name: list(points.values())[-1] for name, points in classes.items()}
    shown = sorted(sorted(last, key=last.__getitem__)[:_CLASSES], key=last.__getitem__, reverse=True)
    figure = Figure(figsize=(10, 5), layout='constrained')
    panel = figure.subplots()
    for index, name in enumerate(shown):
        panel.plot(
            list(classes[name]),
            list(classes[name].values()),
            color=f'C{index % 10}',
            marker='o',
            markersize=3,
            linestyle=('-', '--')[index // 10],
            label=f'{last[name]:.3f} {name}',
        )
    part = f'the {len(shown)} lowest of {len(last)} classes' if len(last) > len(shown) else 'each class'
    panel.set(title=f'box mmAP of {part}', xlabel='iteration')
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.3)
    figure.legend(loc='outside right upper', fontsize='small', title='at the end')
    return _save(figure, file)


def draw_runs(work_dirs: Sequence[str | os.PathLike[str]], file: str | os.PathLike[str]) -> Path:
    """Plot several runs in one figure, one color per run. Losses are running means over the faint single values.

    Raises:
        UserError: If a folder is missing or has no training log.
    """
    runs = [_require_run(work_dir) for work_dir in work_dirs]
    names = _run_names(work_dirs)
    scores = [_scores(val) for _, val in runs]
    styles = dict(zip(dict.fromkeys(chain(*scores)), cycle(('-', '--', ':', '-.'))))
    figure, panels = _panels(any(scores))
    for index, ((train, _), name, scored) in enumerate(zip(runs, names, scores)):
        color = f'C{index % 10}'
        steps, losses = list(train['loss']), list(train['loss'].values())
        panels[0].plot(steps, losses, color=color, alpha=0.2, linewidth=1)
        rates = train.get('lr', {})
        panels[0].plot(steps, _running_mean(losses), color=color, linewidth=2, label=name, marker=_marker(steps))
        panels[1].plot(list(rates), list(rates.values()), color=color, linewidth=2, marker=_marker(rates))
        for kind, points in scored.items():
            panels[2].plot(
                list(points), list(points.values()), color=color, marker='o', markersize=3, linestyle=styles[kind]
            )
    for kind, style in styles.items():
        panels[2].plot([], [], color='black', linestyle=style, label=kind)
    if styles:
        panels[2].legend(fontsize='small')
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc='outside lower center',
        ncols=max(1, min(len(runs), 150 // max(map(len, names)))),
    )
    return _save(figure, Path(file))


def _save(figure: Figure, file: Path) -> Path:
    with unfinished_file(file) as unfinished:
        figure.savefig(unfinished, dpi=110)
    return file


def check_plot_file(path: Path, name: str) -> None:
    """Raise a :class:`UserError` if matplotlib cannot write a file with this name. ``name`` is the argument."""
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = FigureCanvasBase.get_supported_filetypes()
    if path.suffix[1:].lower() not in kinds:
        raise UserError(f'{name}={path} has an unknown suffix: expected .png, or another one of {", ".join(kinds)}.')
    if not path.absolute().parent.is_dir():
        raise UserError(f'{name}={path}: folder not found: {path.absolute().parent}.')


def plot_runs(work_dirs: Sequence[str | os.PathLike[str]], file: str | os.PathLike[str] | None = None) -> Path:
    """Plot runs like ``snv2 plot``, by default to ``curves.png`` in the folder of a single run, or to ``runs.png``.

    Raises:
        UserError: If a folder or the file name is invalid.
    """
    if file is not None:
        check_plot_file(Path(file), 'out')
    if len(work_dirs) > 1:
        return draw_runs(work_dirs, file or 'runs.png')
    _require_run(work_dirs[0])
    drawn: Any = draw_curves(work_dirs[0], file)  # not None: the run has a loss
    return drawn


def _require_run(work_dir: str | os.PathLike[str]) -> tuple[Series, Series]:
    folder = Path(work_dir)
    if not folder.is_dir():
        runs = sorted(path.parents[2] for path in Path('work_dirs').glob('*/*/vis_data/scalars.json'))
        example = ' or '.join(map(str, dict.fromkeys(runs[-3:]))) or 'work_dirs/faster_rcnn_snv2'
        raise UserError(f'Folder not found: {folder}. Expected the work dir of a run, such as {example}.')
    train, val = read_scalars(folder)
    if 'loss' not in train:
        below = sorted(path.parents[2] for path in folder.glob('*/*/vis_data/scalars.json'))
        run = folder.parent if (folder / 'vis_data' / 'scalars.json').is_file() else below[0] if below else None
        hint = f'Did you mean {run}?' if run else 'A run writes its log after the first steps.'
        raise UserError(f'{folder} has no training log (TIME/vis_data/scalars.json). {hint}')
    return train, val


def _run_names(work_dirs: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The shortest ends of the paths that differ from each other."""
    parts = [Path(work_dir).resolve().parts for work_dir in work_dirs]
    for length in range(1, max(map(len, parts))):
        names = [os.sep.join(part[-length:]) for part in parts]
        if len(set(names)) == len(set(parts)):
            break
    return names


def _marker(points: Collection[int]) -> str | None:
    """A dot for a single point, which has no line."""
    return 'o' if len(points) == 1 else None


def _running_mean(values: Sequence[float]) -> list[float]:
    """The mean of each value and its neighbors, over a window of about a twentieth of the run."""
    reach = len(values) // 40
    return [fmean(values[max(0, index - reach) : index + reach + 1]) for index in range(len(values))]


def _panels(scored: bool) -> tuple[Figure, Sequence[Axes]]:
    # Not pyplot, which has global state: training can run in a notebook.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout='constrained')
    panels = figure.subplots(1, 3)
    for panel, title in zip(panels, ('loss', 'learning rate', 'validation score')):
        panel.set_title(title)
        panel.set_xlabel('iteration')
        panel.grid(alpha=0.3)
    panels[0].set_yscale('log')
    panels[2].set_ylim(0, 1)
    if not scored:
        panels[2].text(0.5, 0.5, 'not evaluated yet', ha='center', va='center', transform=panels[2].transAxes)
    return figure, panels


#: Name of a metric -> its label in figures, and its largest value.
SCORES = {
    'bbox_mAP': ('box mmAP', 1),
    'bbox_mAP_50': ('box AP50', 1),
    'bbox_mAP_75': ('box AP75', 1),
    'top1': ('top-1 accuracy', 100),
    'top5': ('top-5 accuracy', 100),
}


def _scores(val: Series) -> Series:
    """The metrics to plot, scaled to 0 to 1."""
    known = [(*SCORES[metric], series) for name, series in val.items() if (metric := name.rsplit('/', 1)[-1]) in SCORES]
    return {label: {step: value / largest for step, value in series.items()} for label, largest, series in known}
