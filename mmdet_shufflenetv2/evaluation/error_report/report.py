"""Write ``report.html``: one self-contained file that needs no network and also works on a phone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ...utils.errors import UserError
from ...utils.files import write_atomically
from ...utils.images import read_image
from .drawings import FOUND, TRUE, curve_svg, image_piece, size_svg
from .inputs import find_data, read_annotations, read_results
from .mistakes import FalsePositive, Mistakes, find_mistakes
from .scores import Scores, evaluate

__all__ = ['analyze']

#: Maximum number of classes in the table of confusions.
_MOST_CLASSES = 24


def analyze(
    results: str | os.PathLike[str],
    annotations: str | os.PathLike[str] | None = None,
    images: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] = 'report.html',
    *,
    score_thr: float = 0.3,
    worst: int = 24,
) -> Scores:
    """Write the report like ``snv2 analyze``, and return the scores, which equal those of pycocotools.

    Args:
        results: COCO results file.
        annotations, images: Its COCO annotation file, and the folder of the images; None uses those that ``snv2 eval``
            stored next to the results.
        out: File to write, ``.html``.
        score_thr: Lowest score of a false positive. AP uses all scores.
        worst: How many false positives and how many missed objects to show.

    Raises:
        UserError: If a file is invalid.
    """
    out = Path(out)
    if out.suffix.lower() not in ('.html', '.htm'):
        raise UserError(f'out={out}: expected a file with the suffix .html.')
    if not 0 <= score_thr <= 1:
        raise UserError(f'score_thr={score_thr}: expected a score from 0 to 1.')
    if worst < 0:
        raise UserError(f'worst={worst}: expected 0 or more.')
    ann_file, folder = find_data(results, annotations, images)
    truth = read_annotations(ann_file, folder)
    detections = read_results(results, truth)
    scores = evaluate(truth, detections)
    mistakes = find_mistakes(truth, detections, score_thr)
    parts = [
        _head(scores, Path(results).name, len(truth['images'])),
        _section(
            'AP by size',
            'Small: below 32 x 32 pixels; large: above 96 x 96. Recall: average recall with 100 detections per image.',
            size_svg(scores.sizes),
        ),
        _section(
            'Classes',
            'Precision (y axis) over recall (x axis) at IoU 0.5, both from 0 to 1. Best mmAP first.',
            _classes(scores),
        ),
        _section(
            'Confusion',
            f'Detections with a score of {score_thr} or more, matched at IoU 0.5. One row per true '
            f'class, one column per detected class.',
            _confusion(mistakes),
        ),
        *_sheets(mistakes, _Pieces(truth, folder), worst),
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, _PAGE.replace('TITLE', escape(Path(results).name)).replace('BODY', '\n'.join(parts)))
    return scores


class _Pieces:
    """Parts of images with boxes and a caption, as HTML figures."""

    def __init__(self, annotations: dict[str, Any], folder: Path) -> None:
        self.names = {category['id']: category['name'] for category in annotations['categories']}
        self._files = {image['id']: folder / image['file_name'] for image in annotations['images']}

    def figure(
        self, about: dict[str, Any], drawn: Sequence[tuple[dict[str, Any], tuple[int, int, int]]], caption: str
    ) -> str:
        path = self._files[about['image_id']]
        if not path.is_file():
            raise UserError(
                f'Image not found: {path}. Set `images` to the folder that file names in the annotations '
                f'are relative to.'
            )
        boxes = [
            (one['bbox'], self.names[one['category_id']] + (f' {one["score"]:.2f}' if 'score' in one else ''), color)
            for one, color in drawn
        ]
        return (
            f'<figure><img src="{image_piece(read_image(path), about["bbox"], boxes)}" alt="{escape(caption)}" '
            f'><figcaption>{escape(caption)}<br><small>{escape(path.name)}</small></figcaption>'
            f'</figure>'
        )

    def false_positive(self, one: FalsePositive) -> str:
        drawn = [(one.detection, FOUND), *([(one.truth, TRUE)] if one.truth else [])]
        kind = one.kind
        if one.truth and kind.endswith(('with', 'as')):
            kind += f' {self.names[one.truth["category_id"]]}'
        return self.figure(
            one.detection, drawn, f'{self.names[one.detection["category_id"]]} {one.detection["score"]:.2f}: {kind}'
        )

    def miss(self, truth: dict[str, Any]) -> str:
        width, height = (round(side) for side in truth['bbox'][2:])
        return self.figure(truth, [(truth, TRUE)], f'{self.names[truth["category_id"]]}, {width} x {height} pixels')


def _sheets(mistakes: Mistakes, pieces: _Pieces, worst: int) -> Iterator[str]:
    for title, key, figures in (
        (
            f'The worst of {len(mistakes.false_positives)} false positives',
            ' Highest scores first.',
            [pieces.false_positive(one) for one in mistakes.false_positives[:worst]],
        ),
        (
            f'The largest of {len(mistakes.misses)} missed objects',
            ' Objects without a detection.',
            [pieces.miss(one) for one in mistakes.misses[:worst]],
        ),
    ):
        yield _section(title, _KEY + key, f'<div class="sheet">{"".join(figures)}</div>' if figures else '<p>None.</p>')


def _head(scores: Scores, name: str, images: int) -> str:
    tiles = ''.join(
        f'<div><b>{_number(value)}</b>{label}</div>'
        for label, value in (
            ('mmAP', scores.ap),
            ('AP50', scores.ap50),
            ('AP75', scores.ap75),
            ('average recall', scores.recall),
        )
    )
    objects = sum(one.objects for one in scores.classes)
    counted = ', '.join(map(_counted, (images, objects, len(scores.classes)), ('image', 'object', 'class')))
    return (
        f'<h1>{escape(name)}</h1><p>{counted}. Scores as pycocotools computes them.</p><div class="tiles">{tiles}</div>'
    )


def _classes(scores: Scores) -> str:
    ranked = sorted(scores.classes, key=lambda one: -1 if np.isnan(one.ap) else one.ap, reverse=True)
    seen = ''.join(
        f'<figure>{curve_svg(one.precision50)}<figcaption><b>{escape(one.name)}</b><br>'
        f'mmAP {_number(one.ap)}<br>AP50 {_number(one.ap50)}<br>{_counted(one.objects, "object")}'
        f'</figcaption></figure>'
        for one in ranked
        if one.objects
    )
    unseen = [one.name for one in ranked if not one.objects]
    note = f'<p>Not in these images: {escape(", ".join(unseen))}.</p>' if unseen else ''
    return f'<div class="curves">{seen}</div>{note}'


def _confusion(mistakes: Mistakes) -> str:
    counts = mistakes.confusion
    wrong = counts - np.diag(np.diag(counts))
    trouble = wrong[:-1].sum(axis=1) + wrong[:, :-1].sum(axis=0)
    shown = sorted(np.argsort(-trouble, kind='stable')[:_MOST_CLASSES])
    note = (
        ''
        if len(shown) == len(mistakes.classes)
        else (f'<p>The {len(shown)} classes with the most mistakes, of {len(mistakes.classes)}.</p>')
    )
    columns = [*shown, len(mistakes.classes)]
    names = [*mistakes.classes, '']
    head = ''.join(f'<th class="up"><span>{escape(names[column]) or "missed"}</span></th>' for column in columns)
    largest = counts.sum(axis=1)
    rows = ''.join(
        f'<tr><th>{escape(names[row]) or "background"}</th>'
        + ''.join(_cell(counts[row, column], largest[row], row == column) for column in columns)
        + '</tr>'
        for row in columns
    )
    pairs = [(wrong[row, column], row, column) for row, column in zip(*np.nonzero(wrong[:-1, :-1]))]
    listed = ''.join(
        f'<li>{escape(mistakes.classes[row])} detected as {escape(mistakes.classes[column])}: {count}</li>'
        for count, row, column in sorted(pairs, key=lambda pair: -pair[0])[:10]
    )
    often = f'<h3>Most frequent</h3><ol>{listed}</ol>' if listed else ''
    return f'{note}<div class="wide"><table class="confusion"><tr><th></th>{head}</tr>{rows}</table></div>{often}'


def _cell(count: int, of: int, right: bool) -> str:
    if not count:
        return '<td></td>'
    red, green, blue = TRUE if right else FOUND
    # Light enough for black text.
    return f'<td style="background:rgba({red},{green},{blue},{0.1 + 0.5 * count / of:.2f})">{count}</td>'


def _section(title: str, about: str, content: str) -> str:
    return f'<section><h2>{title}</h2><p>{about}</p>{content}</section>'


def _number(value: float) -> str:
    return '-' if np.isnan(value) else f'{value:.3f}'


def _counted(count: int, noun: str) -> str:
    return f'{count} {noun}{"" if count == 1 else "es" if noun.endswith("s") else "s"}'


_KEY = f'<i style="color:rgb{TRUE}">■</i> ground truth, <i style="color:rgb{FOUND}">■</i> detections.'

_PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>TITLE</title><style>
:root {{ color-scheme: light; }}
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; max-width: 70rem; margin: 0 auto;
  padding: 1rem; }}
h1 {{ font-size: 1.5rem; overflow-wrap: anywhere; }} h2 {{ font-size: 1.2rem; margin: 2.5rem 0 0; }}
h3 {{ font-size: 1rem; margin-bottom: 0; }} p {{ margin: .3rem 0 .8rem; }} i {{ font-style: normal; }}
small, .small {{ font-size: 12px; color: #555; fill: #555; }} ol {{ margin-top: .3rem; }}
figure {{ margin: 0; min-width: 0; }} figcaption {{ font-size: .85rem; line-height: 1.35; overflow-wrap: anywhere; }}
.tiles {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr)); gap: .6rem; }}
.tiles div {{ background: #f1f4f7; padding: .6rem .8rem; border-radius: 6px; }}
.tiles b {{ display: block; font-size: 1.5rem; }}
.curves {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: 1rem; }}
.sheet {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: .8rem;
  align-items: start; }}
.sheet img {{ display: block; width: 100%; max-height: 16rem; object-fit: contain; object-position: left bottom; }}
.grid {{ stroke: #ddd; stroke-width: .6; }} .area {{ fill: rgb{TRUE}; opacity: .15; }}
.line {{ fill: none; stroke: rgb{TRUE}; stroke-width: 2; }}
.bars {{ width: 100%; max-width: 32rem; }} .bar0 {{ fill: rgb{TRUE}; }}
.bar1 {{ fill: none; stroke: rgb{TRUE}; }}
.wide {{ overflow-x: auto; }} table {{ border-collapse: collapse; font-size: .85rem; }}
.confusion td {{ border: 1px solid #e3e3e3; text-align: right; padding: .15rem .35rem; min-width: 1.6rem; }}
.confusion th {{ font-weight: normal; text-align: right; padding: .15rem .4rem; white-space: nowrap; }}
.confusion th:first-child {{ position: sticky; left: 0; background: #fff; }}
.confusion .up {{ vertical-align: bottom; padding: .3rem 0; }}
.up span {{ writing-mode: vertical-rl; transform: rotate(180deg); }}
</style></head><body>
BODY
</body></html>
"""
