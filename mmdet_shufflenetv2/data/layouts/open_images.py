"""Open Images: CSV tables of boxes as fractions of the image, and a table of class names.

``IsGroupOf`` marks a box around several objects. It is ignored in training and evaluation, like a crowd in COCO.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ...utils.images import files_below
from ..problems import shown
from .csv_tables import named_cells
from .description import Format, UserDataset
from .label_files import LabelFileError, find_label_files, label_files, read_csv
from .labelled import Box, Corners, Image, Labels, float_of

__all__ = ['OPEN_IMAGES']

_NAME = 'Open Images'
_SIDES = ('xmin', 'ymin', 'xmax', 'ymax')
_COLUMNS = ('imageid', 'labelname', *_SIDES)


def _read(root: Path, files: list[Path]) -> UserDataset:
    labels = Labels(_NAME, root)
    names = _class_names(labels)
    existing = {path.stem.lower() for path in files_below(root)}
    for path, rows in labels.read_each(files):
        columns = {cell.strip().lower(): index for index, cell in enumerate(rows[0][1])}
        if not set(_COLUMNS) <= columns.keys():
            labels.fault(
                'label_file',
                f'{path}:{rows[0][0]}: the columns are {shown(",".join(rows[0][1]))}, expected '
                f'ImageID, LabelName, XMin, XMax, YMin, YMax',
                path,
            )
            continue
        labels.images += _images(path, rows[1:], columns, names, labels)
    # The tables list all images of Open Images; most users have only some of them.
    absent = [image for image in labels.images if Path(image.name or '').stem.lower() not in existing]
    if 0 < len(absent) < len(labels.images):
        labels.images = [image for image in labels.images if Path(image.name or '').stem.lower() in existing]
        labels.notes.append(
            f'{len(absent)} listed images are missing and are left out (the first: '
            f'{shown(absent[0].name)}, {absent[0].where})'
        )
    used = {box.name for image in labels.images for box in image.boxes}
    if names:
        labels.classes = [name for name in dict.fromkeys(names.values()) if name in used]
    else:
        labels.notes.append(
            'the table of class names is missing, so classes are named by their ids. Put '
            'class-descriptions-boxable.csv next to the boxes'
        )
    return labels.dataset()


def _class_names(labels: Labels) -> dict[str, str]:
    """Class id -> name, from a table with these two columns."""
    for path in label_files(labels.root, '.csv'):
        try:
            rows = [cells for _, cells in read_csv(path)] if 'class' in path.stem.lower() else []
        except LabelFileError:
            continue
        pairs = {cells[0]: ' '.join(cells[1].split()) for cells in rows if len(cells) == 2 and cells[0][:1] == '/'}
        if pairs:
            labels.files.add(path)
            return pairs
    return {}


def _images(
    path: Path, rows: list[tuple[int, list[str]]], columns: dict[str, int], names: dict[str, str], labels: Labels
) -> list[Image]:
    images: dict[str, Image] = {}
    for where, row in named_cells(rows, columns, _COLUMNS, path, labels):
        name = row['imageid'] if Path(row['imageid']).suffix else f'{row["imageid"]}.jpg'
        image = images.setdefault(name, Image(name, path, where))
        image.boxes.append(
            Box(
                names.get(row['labelname'], row['labelname']),
                _corners([row[key] for key in _SIDES]),
                where,
                row.get('isgroupof') == '1',
            )
        )
    return list(images.values())


def _corners(sides: list[str]) -> Callable[[int, int], Corners]:
    x1, y1, x2, y2 = map(float_of, sides)
    return lambda width, height: (x1 * width, y1 * height, x2 * width, y2 * height)


OPEN_IMAGES = Format(
    _NAME,
    '.csv with the columns ImageID, LabelName, XMin, XMax, YMin, YMax; class-descriptions*.csv',
    partial(find_label_files, suffix='.csv', name=_NAME),
    _read,
)
