"""What must hold for a data set before a run may start, and for one in COCO format in particular.

A run that ends after an hour because of the file it meets then has cost an hour. So everything that can be told
beforehand is told beforehand, with the name of the file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS

from ..errors import UserError
from ..image_files import look_at_all
from .annotation_file import as_annotations, has_byte_order_mark, read_annotations, read_json
from .audit import audit

__all__ = ['check_images', 'prepare_dataset']


def prepare_dataset(cfg: dict[str, Any], num_classes: int | None = None, max_broken: int = 0,
                    annotated: bool = True) -> None:
    """Check the files of a data set config; generate them where the data set can.

    Wrappers (``RepeatDataset``, ``ConcatDataset``, ...) are looked into. A data set with a ``prepare`` of its own is
    asked to do so; one that has none and is not in COCO format either is left to itself.

    Args:
        cfg: Data set config as in ``train_dataloader.dataset``.
        num_classes: How many classes a classifier has; the classes of a detector's data are in ``cfg``.
        max_broken: How many images may be missing or truncated; see :func:`check_images`.
        annotated: Whether there must be annotations; without, images and categories are enough.

    Raises:
        UserError: If the annotation file is missing, unreadable or names other classes, or if too many images are
            missing or truncated.
    """
    inner = cfg.get('datasets') or ([cfg['dataset']] if 'dataset' in cfg else [])
    for wrapped in inner:
        prepare_dataset(wrapped, num_classes, max_broken, annotated)
    dataset_type = DATASETS.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']
    if inner or dataset_type is None:
        return
    if hasattr(dataset_type, 'prepare'):
        dataset_type.prepare(**{key: value for key, value in cfg.items() if key != 'type'}, num_classes=num_classes)
    if not issubclass(dataset_type, CocoDataset):
        return
    root = cfg.get('data_root') or ''
    annotations = _read_annotations(os.path.join(root, cfg['ann_file']), root, annotated)
    classes = (cfg.get('metainfo') or {}).get('classes') or dataset_type.METAINFO['classes']
    _check_classes(annotations, [classes] if isinstance(classes, str) else classes, cfg['ann_file'])
    folder = os.path.join(root, (cfg.get('data_prefix') or {}).get('img', ''))
    check_images([os.path.join(folder, image['file_name']) for image in annotations['images']], max_broken,
                 'take them out of the annotation file')


def _read_annotations(path: str, root: str, annotated: bool) -> dict[str, Any]:
    try:
        annotations = read_annotations(path) if annotated else _unannotated(path)
    except FileNotFoundError:
        raise UserError(
            f'There is no annotation file {path}. Expected COCO\'s layout: '
            f'{os.path.join(root, "annotations", "instances_{train,val}2017.json")}, '
            f'{os.path.join(root, "{train,val}2017", "*.jpg")}.\n'
            f'Put the data there, or name the folder that has it: --data-root DIR (your own: --data DIR).') from None
    if has_byte_order_mark(path):
        raise UserError(f'{path} starts with a byte order mark, which MMDetection does not read. Save it as UTF-8 '
                        f'without one, or name the data set\'s folder: --data DIR')
    report = audit(annotations, path, root, look=False)
    if not annotated:
        for problem in ('no_annotations', 'no_box'):
            report.found.pop(problem, None)
    report.refuse('training')
    return annotations


def _unannotated(path: str) -> dict[str, Any]:
    """The content of a file that may lack the list of annotations, as those of COCO's test sets do."""
    content = read_json(path)
    return as_annotations(content | dict(annotations=[]) if isinstance(content, dict) else content, path)


def _check_classes(annotations: dict[str, Any], classes: Sequence[str], ann_file: str) -> None:
    found = {category['id']: category['name'] for category in annotations['categories']}
    what_to_do = ('Set classes in metainfo=dict(classes=(...)) of the data sets and num_classes in the heads to those '
                  'of the file.')
    if unknown := [name for name in found.values() if name not in classes]:
        raise UserError(f'{ann_file} has the {_named(unknown, "category", "categories")}, not among the config\'s '
                        f'{len(classes)} classes ({_few(classes)}). {what_to_do}')
    # Labels are counted along the file's categories: with one missing, all behind it would be shifted.
    if absent := [name for name in classes if name not in found.values()]:
        raise UserError(f'{ann_file} lacks the {_named(absent, "category", "categories")} of the config\'s classes. '
                        f'{what_to_do}')


def check_images(paths: Sequence[str | os.PathLike], allowed: int = 0, instead: str = 'leave them out') -> None:
    """Look whether image files are there and whole.

    Args:
        paths: Image files.
        allowed: How many may be missing or truncated, if they are less than half; a warning then names them.
        instead: What to do about those that cannot be had again.

    Raises:
        UserError: Naming the first few that are missing, truncated or too large to be decoded.
    """
    faults = [look.fault for look in look_at_all(paths) if look.fault]
    if 0 < len(faults) <= allowed and 2 * len(faults) < len(paths):
        print(f'warning: {len(faults)} of {len(paths)} images cannot be read and are left out of training: '
              f'{"; ".join(faults)}', file=sys.stderr)
    elif faults:
        more = f' and {len(faults) - 3} more, which tools/check_dataset.py lists' if len(faults) > 3 else ''
        raise UserError(f'{len(faults)} of {len(paths)} images cannot be read: {"; ".join(faults[:3])}{more}.\n'
                        f'Fetch them again, or {instead}.')


def _named(names: Sequence[str], one: str, many: str) -> str:
    return f'{one if len(names) == 1 else many} {_few([repr(name) for name in names])}'


def _few(names: Iterable[str]) -> str:
    names = list(names)
    return ', '.join(names[:5]) + (f' and {len(names) - 5} more' if len(names) > 5 else '')
