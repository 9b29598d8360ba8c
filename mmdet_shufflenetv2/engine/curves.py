"""A run's training curves as a picture, from the scalars that MMEngine logs."""

from __future__ import annotations

import json
import os
from pathlib import Path

__all__ = ['draw_curves', 'read_scalars']

Series = dict[str, dict[int, float]]


def read_scalars(work_dir: str | os.PathLike) -> tuple[Series, Series]:
    """Everything that the runs in a work dir have logged.

    Args:
        work_dir: Folder of a run. A run that was resumed has left several logs; where two tell of the same step, the
            newer one counts.

    Returns:
        Training series by iteration and validation series by the iteration at which they were taken, each as
        ``{name: {iteration: value}}``.
    """
    train: Series = {}
    val: Series = {}
    for log in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        iteration = 0
        for line in log.read_text().splitlines():
            scalars = json.loads(line)
            series = train if 'iter' in scalars else val
            # A validation line counts epochs; it belongs to the training line before it.
            iteration = scalars.get('iter', iteration)
            for name, value in scalars.items():
                if name not in ('iter', 'epoch', 'step') and isinstance(value, (int, float)):
                    series.setdefault(name, {})[iteration] = value
    return train, val


def draw_curves(work_dir: str | os.PathLike) -> Path | None:
    """Draw losses, learning rate and AP or accuracy over the iterations into ``curves.png`` in the work dir.

    Returns:
        The picture, or None where nothing was logged yet.
    """
    # Not pyplot: it holds state of the whole process, and a training may run inside a notebook.
    from matplotlib.figure import Figure

    train, val = read_scalars(work_dir)
    if 'loss' not in train:
        return None
    scores = _scores(val)
    figure = Figure(figsize=(12, 3.6), layout='constrained')
    panels = figure.subplots(1, 3)
    losses = {name: series for name, series in train.items() if 'loss' in name}
    for panel, title, series in zip(panels, ('training loss', 'learning rate', 'validation score'),
                                    (losses, {'lr': train.get('lr', {})}, scores)):
        for name, points in sorted(series.items(), key=lambda item: item[0] != 'loss'):
            panel.plot(list(points), list(points.values()), label=name,
                       linewidth=2 if name in ('loss', 'lr') or series is scores else 1,
                       marker='o' if series is scores else None, markersize=3)
        panel.set_title(title)
        panel.set_xlabel('iteration')
        panel.grid(alpha=0.3)
        if len(series) > 1:
            panel.legend(fontsize='small')
    panels[0].set_yscale('log')
    panels[2].set_ylim(0, 1)
    if not scores:
        panels[2].text(0.5, 0.5, 'not evaluated yet', ha='center', va='center', transform=panels[2].transAxes)
    picture = Path(work_dir) / 'curves.png'
    figure.savefig(picture, dpi=110)
    return picture


#: Name of a metric -> what the picture calls it, and its largest value.
_SCORES = {
    'bbox_mAP': ('box mmAP', 1),
    'bbox_mAP_50': ('box AP50', 1),
    'bbox_mAP_75': ('box AP75', 1),
    'top1': ('top-1 accuracy', 100),
    'top5': ('top-5 accuracy', 100),
}


def _scores(val: Series) -> Series:
    """The metrics that are drawn, on a scale of 0 to 1."""
    scores: Series = {}
    for name, series in val.items():
        label, largest = _SCORES.get(name.rsplit('/', 1)[-1], (None, 1))
        if label:
            scores[label] = {at: value / largest for at, value in series.items()}
    return scores
