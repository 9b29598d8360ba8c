"""YOLO's format: ``data.yaml``, ``images/SPLIT/`` and ``labels/SPLIT/*.txt``, as Ultralytics reads it."""

from __future__ import annotations

from pathlib import PurePath

import yaml

from ..layouts.yolo import label_file
from .target import Target

__all__ = ['write_yolo']


def write_yolo(target: Target) -> None:
    """Write a data set in YOLO's format. It does not support crowds and difficult objects, which are left out."""
    labels = {name: number for number, name in enumerate(target.classes)}
    for name, split in target.data.splits.items():
        folder = f'images/{name}'
        for image, file, found in target.copy_images(name, folder, _label, _visible):
            size, lines = (image['width'], image['height']), []
            for box in target.boxes(split, image, found):
                if box.ignore:
                    target.lose('a crowd or an ignored object is not written', f'one of {file}')
                    continue
                x1, y1, x2, y2 = box.corners
                numbers = [(x1 + x2) / 2 / size[0], (y1 + y2) / 2 / size[1], (x2 - x1) / size[0], (y2 - y1) / size[1]]
                # A precision of a hundred-thousandth of a pixel.
                lines.append(' '.join([str(labels[box.name]), *(f'{number:.10f}' for number in numbers)]))
                target.record(name, f'{folder}/{file}', box.name, [x1, y1, x2 - x1, y2 - y1])
            path = label_file(target.root / folder / file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(''.join(f'{line}\n' for line in lines))
    said = {name: f'images/{name}' for name in target.data.splits} | dict(names=dict(enumerate(target.classes)))
    (target.root / 'data.yaml').write_text(yaml.safe_dump(said, allow_unicode=True, sort_keys=False), encoding='utf-8')


def _label(file: str) -> str:
    """The name of an image's label file without suffix."""
    return str(PurePath(file).with_suffix(''))


def _visible(file: str) -> str:
    """A name that does not start with a dot, because hidden files are skipped when folders are searched."""
    return '/'.join(part.lstrip('.') or '_' for part in file.split('/'))
