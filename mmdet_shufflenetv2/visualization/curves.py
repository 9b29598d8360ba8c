"""Training curves of one run or of several as a picture, from the scalars that MMEngine logs."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from itertools import chain, cycle
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from ..utils.errors import UserError
from ..utils.files import unfinished_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure  # takes a second, and only figures need it

__all__ = ['SCORES', 'check_plot_file', 'draw_class_curves', 'draw_curves', 'draw_runs', 'plot_runs', 'read_scalars']

Series = dict[str, dict[int, float]]
#: Classes that are drawn in one figure at most.
_CLASSES = 20


def read_scalars(work_dir: str | os.PathLike) -> tuple[Series, Series]:
    """Everything that the runs in a work dir have logged.

    A run that was resumed has left several logs; where two tell of the same step, the newer one counts.

    Returns:
        Training series by iteration and validation series by the iteration at which they were taken, each as
        ``{name: {iteration: value}}``.
    """
    train: Series = {}
    val: Series = {}
    for log in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        iteration, resumed = 0, False
        for line in log.read_text().splitlines():
            try:
                scalars = json.loads(line)
            except ValueError:  # a run that was killed may leave half a line
                continue
            series = train if 'iter' in scalars else val
            # A validation line counts epochs; it belongs to the training line before it.
            iteration = scalars.get('iter', iteration)
            if 'iter' in scalars and not resumed:
                resumed = True  # what came later in the runs before was lost, or counted in epochs of another length
                for points in (*train.values(), *val.values()):
                    for later in [at for at in points if at >= iteration]:
                        del points[later]
            for name, value in scalars.items():
                if name not in ('iter', 'epoch', 'step') and isinstance(value, (int, float)):
                    series.setdefault(name, {})[iteration] = value
    return train, val


def draw_curves(work_dir: str | os.PathLike, picture: str | os.PathLike | None = None) -> Path | None:
    """Draw one run: losses, learning rate and AP or accuracy over the iterations.

    A detector that was evaluated more than once also gets :func:`draw_class_curves`, ``class_curves.png`` beside it.

    Returns:
        The picture, by default ``curves.png`` in the work dir; None where nothing was logged yet.
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
            panel.plot(list(points), list(points.values()), label=name,
                       linewidth=2 if name in ('loss', 'val_loss', 'lr') or series is scores else 1,
                       color='black' if name == 'val_loss' else None,
                       marker='o' if series is scores or name == 'val_loss' else _marker(points), markersize=3)
        if len(series) > 1:
            panel.legend(fontsize='small')
    picture = Path(picture or Path(work_dir) / 'curves.png')
    draw_class_curves(val, picture.with_name(f'class_{picture.name}'))
    return _save(figure, picture)


def draw_class_curves(val: Series, picture: Path) -> Path | None:
    """Draw the AP of each class over the iterations; of many, the :data:`_CLASSES` with the lowest at the end.

    Args:
        val: Validation series, as :func:`read_scalars` returns them.
        picture: File to write.

    Returns:
        The picture; None where no class was evaluated twice.
    """
    classes = {name.rpartition('_')[0].rpartition('/')[2]: points for name, points in val.items()
               if name.endswith('_precision') and any(map(isfinite, points.values()))}
    if max(map(len, classes.values()), default=0) < 2:
        return None
    from matplotlib.figure import Figure
    last = {name: list(points.values())[-1] for name, points in classes.items()}
    shown = sorted(sorted(last, key=last.__getitem__)[:_CLASSES], key=last.__getitem__, reverse=True)
    figure = Figure(figsize=(10, 5), layout='constrained')
    panel = figure.subplots()
    for place, name in enumerate(shown):
        panel.plot(list(classes[name]), list(classes[name].values()), color=f'C{place % 10}', marker='o', markersize=3,
                   linestyle=('-', '--')[place // 10], label=f'{last[name]:.3f} {name}')
    part = f'the {len(shown)} lowest of {len(last)} classes' if len(last) > len(shown) else 'each class'
    panel.set(title=f'box mmAP of {part}', xlabel='iteration')
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.3)
    figure.legend(loc='outside right upper', fontsize='small', title='at the end')
    return _save(figure, picture)


def draw_runs(work_dirs: Sequence[str | os.PathLike], picture: str | os.PathLike) -> Path:
    """Draw several runs over one another: a colour a run, its loss as a running mean over the pale single values.

    Raises:
        UserError: If a folder is missing or holds no log of a training.
    """
    runs = [_require_run(work_dir) for work_dir in work_dirs]
    names = _run_names(work_dirs)
    scores = [_scores(val) for _, val in runs]
    styles = dict(zip(dict.fromkeys(chain(*scores)), cycle(('-', '--', ':', '-.'))))
    figure, panels = _panels(any(scores))
    for place, ((train, _), name, scored) in enumerate(zip(runs, names, scores)):
        color = f'C{place % 10}'
        at, losses = list(train['loss']), list(train['loss'].values())
        panels[0].plot(at, losses, color=color, alpha=0.2, linewidth=1)
        rates = train.get('lr', {})
        panels[0].plot(at, _running_mean(losses), color=color, linewidth=2, label=name, marker=_marker(at))
        panels[1].plot(list(rates), list(rates.values()), color=color, linewidth=2, marker=_marker(rates))
        for kind, points in scored.items():
            panels[2].plot(list(points), list(points.values()), color=color, marker='o', markersize=3,
                           linestyle=styles[kind])
    for kind, style in styles.items():
        panels[2].plot([], [], color='black', linestyle=style, label=kind)
    if styles:
        panels[2].legend(fontsize='small')
    figure.legend(*panels[0].get_legend_handles_labels(), loc='outside lower center',
                  ncols=max(1, min(len(runs), 150 // max(map(len, names)))))
    return _save(figure, Path(picture))


def _save(figure: Figure, picture: Path) -> Path:
    with unfinished_file(picture) as unfinished:
        figure.savefig(unfinished, dpi=110)
    return picture


def check_plot_file(path: Path, name: str) -> None:
    """Raise a :class:`UserError`, which names the argument, where matplotlib cannot write a picture of that name."""
    from matplotlib.backend_bases import FigureCanvasBase
    kinds = FigureCanvasBase.get_supported_filetypes()
    if path.suffix[1:].lower() not in kinds:
        raise UserError(f'{name}={path} is not a kind of image: expected a name that ends in .png, or in one of '
                        f'{", ".join(kinds)}.')
    if not path.absolute().parent.is_dir():
        raise UserError(f'{name}={path}: there is no folder {path.absolute().parent}.')


def plot_runs(work_dirs: Sequence[str | os.PathLike], picture: str | os.PathLike | None = None) -> Path:
    """Draw runs as ``snv2 plot`` does, by default to ``curves.png`` in the folder of a single run, else ``runs.png``.

    Raises:
        UserError: If a folder or the name of the picture is invalid.
    """
    if picture is not None:
        check_plot_file(Path(picture), 'out')
    if len(work_dirs) > 1:
        return draw_runs(work_dirs, picture or 'runs.png')
    _require_run(work_dirs[0])
    return draw_curves(work_dirs[0], picture)


def _require_run(work_dir: str | os.PathLike) -> tuple[Series, Series]:
    folder = Path(work_dir)
    if not folder.is_dir():
        runs = sorted(path.parents[2] for path in Path('work_dirs').glob('*/*/vis_data/scalars.json'))
        example = ' or '.join(map(str, dict.fromkeys(runs[-3:]))) or 'work_dirs/faster_rcnn_snv2'
        raise UserError(f'There is no folder {folder}. Expected the work dir of a run, such as {example}.')
    train, val = read_scalars(folder)
    if 'loss' not in train:
        below = sorted(path.parents[2] for path in folder.glob('*/*/vis_data/scalars.json'))
        run = folder.parent if (folder / 'vis_data' / 'scalars.json').is_file() else below[0] if below else None
        hint = f'Did you mean {run}?' if run else 'Its log is written from the first steps on.'
        raise UserError(f'{folder} holds no log of a training (TIME/vis_data/scalars.json). {hint}')
    return train, val


def _run_names(work_dirs: Sequence[str | os.PathLike]) -> list[str]:
    """The last parts of the paths, as many as tell all apart."""
    parts = [Path(work_dir).resolve().parts for work_dir in work_dirs]
    for length in range(1, max(map(len, parts))):
        names = [os.sep.join(part[-length:]) for part in parts]
        if len(set(names)) == len(set(parts)):
            break
    return names


def _marker(points: Collection[int]) -> str | None:
    """A dot for a single point, which makes no line."""
    return 'o' if len(points) == 1 else None


def _running_mean(values: Sequence[float]) -> list[float]:
    """The mean of each value and its neighbours, a twentieth of the run on either side at most."""
    reach = len(values) // 40
    return [fmean(values[max(0, at - reach):at + reach + 1]) for at in range(len(values))]


def _panels(scored: bool) -> tuple[Figure, Sequence[Axes]]:
    # Not pyplot: it holds state of the whole process, and a training may run inside a notebook.
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


#: Name of a metric -> what the picture calls it, and its largest value.
SCORES = {
    'bbox_mAP': ('box mmAP', 1),
    'bbox_mAP_50': ('box AP50', 1),
    'bbox_mAP_75': ('box AP75', 1),
    'top1': ('top-1 accuracy', 100),
    'top5': ('top-5 accuracy', 100),
}


def _scores(val: Series) -> Series:
    """The metrics that are drawn, on a scale of 0 to 1."""
    known = [(*SCORES[metric], series) for name, series in val.items() if (metric := name.rsplit('/', 1)[-1]) in SCORES]
    return {label: {at: value / largest for at, value in series.items()} for label, largest, series in known}
