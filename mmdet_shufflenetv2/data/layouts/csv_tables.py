"""CSV tables with one box per line, as in TensorFlow's tutorials and keras-retinanet.

With a header, the columns are ``filename,width,height,class,xmin,ymin,xmax,ymax`` in any order; sizes are optional.
Without a header they are ``path,x1,y1,x2,y2,class``. A line with an empty box is an image without objects.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from ..problems import few, shown
from .description import Format, UserDataset
from .label_files import find_label_files
from .labelled import Box, Image, Labels

__all__ = ['CSV', 'named_cells']

_NAME = 'CSV'
_COLUMNS = {
    'name': ('filename', 'file', 'image', 'imagename', 'imagepath', 'path', 'img', 'imageid', 'filepath'),
    'width': ('width', 'imagewidth', 'imgwidth'),
    'height': ('height', 'imageheight', 'imgheight'),
    'class': ('class', 'label', 'classname', 'labelname', 'category', 'name'),
    'x1': ('xmin', 'x1', 'left'),
    'y1': ('ymin', 'y1', 'top'),
    'x2': ('xmax', 'x2', 'right'),
    'y2': ('ymax', 'y2', 'bottom'),
}
_PLAIN = ('name', 'x1', 'y1', 'x2', 'y2', 'class')
_CORNERS = ('x1', 'y1', 'x2', 'y2')


def _read(root: Path, files: list[Path]) -> UserDataset:
    labels = Labels(_NAME, root)
    others = [path.name for path in files if not labels.split_of(path)]
    if 0 < len(others) < len(files):
        labels.notes.append(f'skipped, because other tables name splits: {few(others)}')
        files = [path for path in files if labels.split_of(path)]
    for path, rows in labels.read_each(files):
        columns = _header(rows[0][1])
        if columns is None and all(map(_is_text, rows[0][1][1:5])):
            labels.fault(
                'label_file',
                f'{path}:{rows[0][0]}: the columns are {shown(",".join(rows[0][1]))}, expected '
                f'filename,width,height,class,xmin,ymin,xmax,ymax',
                path,
            )
            continue
        _read_rows(rows if columns is None else rows[1:], columns or dict(zip(_PLAIN, range(6))), path, labels)
    return labels.dataset()


def _is_text(cell: str) -> bool:
    return bool(re.match(r'[A-Za-z_]', cell))


def _header(cells: list[str]) -> dict[str, int] | None:
    """Column name -> index; None if this is not a header or lacks a column."""
    plain = [re.sub(r'[^a-z0-9]', '', cell.lower()) for cell in cells]
    columns = {
        key: plain.index(name)
        for key, names in _COLUMNS.items()
        if (name := next((name for name in names if name in plain), None))
    }
    return columns if set(_PLAIN) <= columns.keys() else None


def named_cells(
    rows: list[tuple[int, list[str]]], columns: dict[str, int], needed: Iterable[str], path: Path, labels: Labels
) -> Iterator[tuple[str, dict[str, str]]]:
    """Each line of a table as ``path:line`` and its cells by column. A line without a needed column is a fault."""
    last = max(columns[key] for key in needed)
    for line, cells in rows:
        where = f'{path}:{line}'
        if len(cells) <= last:
            labels.fault('label_line', f'{where}: {len(cells)} cells, expected {max(columns.values()) + 1}', path)
            continue
        yield where, {key: cells[index] if index < len(cells) else '' for key, index in columns.items()}


def _read_rows(rows: list[tuple[int, list[str]]], columns: dict[str, int], path: Path, labels: Labels) -> None:
    images: dict[str, Image] = {}
    for where, row in named_cells(rows, columns, _CORNERS, path, labels):
        size = row.get('width'), row.get('height')
        image = images.setdefault(row['name'], Image(row['name'], path, where, size=size))
        if any(row[key] for key in (*_CORNERS, 'class')):
            image.boxes.append(Box(row['class'], (row['x1'], row['y1'], row['x2'], row['y2']), where))
    labels.images += images.values()


CSV = Format(
    _NAME,
    '.csv with the columns filename, class, xmin, ymin, xmax, ymax, or path,x1,y1,x2,y2,class without header',
    partial(find_label_files, suffix='.csv', name=_NAME),
    _read,
)
