"""Check data sets before a run starts, in particular those in COCO's format.

A run should not fail after an hour because of one file. So everything that can be checked in advance is checked in
advance, and errors name the file.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from mmdet.datasets import BaseDetDataset, CocoDataset
from mmdet.registry import DATASETS
from mmengine.config import Config

from ..utils.errors import UserError
from ..utils.images import ImageCheck, check_image_files, printable
from ..utils.options import in_words
from .annotation_file import as_annotations, has_byte_order_mark, image_sizes, read_json
from .audit import audit, left_out
from .pipelines import steps
from .problems import Report, few, shown

__all__ = [
    'check_images',
    'image_reader',
    'prepare_data',
    'prepare_dataset',
    'refuse_other_classes',
    'refuse_other_sizes',
    'same_but_for_spelling',
]


def prepare_data(cfg: Config, *splits: str, max_broken: int = 0, say: bool = True, annotated: bool = True) -> None:
    """Check the data of these splits (``train``, ``val``, ``test``) before anything is built."""
    if 'val' in splits and cfg.get('train_dataloader') and cfg.get('val_dataloader'):
        refuse_other_classes(cfg.train_dataloader.dataset, cfg.val_dataloader.dataset)
    for split in splits:
        dataloader = cfg.get(f'{split}_dataloader')
        if dataloader and 'dataset' in dataloader:
            dataset = dataloader['dataset']
            if dataset.get('broken_list'):  # the wrapper of fault tolerance
                dataset = dataset['dataset']
            prepare_dataset(
                dataset,
                cfg.model.get('num_classes'),
                max_broken,
                split == 'train',
                key=f'{split}_dataloader.dataset',
                say=say,
                annotated=annotated,
            )


def prepare_dataset(
    cfg: dict[str, Any],
    num_classes: int | None = None,
    max_broken: int = 0,
    training: bool = True,
    key: str = 'train_dataloader.dataset',
    say: bool = True,
    annotated: bool = True,
) -> None:
    """Check the files of a data set config. Data sets with a method ``prepare`` generate their files first.

    Data sets inside wrappers (``RepeatDataset``, ``ConcatDataset``, ...) are checked, too. A data set that is neither
    in COCO's format nor has ``prepare`` is not checked.

    The ``metainfo`` of training data gets ``category_ids``: the id of each class in the annotation file. It is saved in
    checkpoints and used in results files.

    Args:
        cfg: Data set config as in ``train_dataloader.dataset``.
        num_classes: Number of classes of a classifier. The classes of a detector's data are in ``cfg``.
        max_broken: How many images may be missing or truncated, see :func:`check_images`.
        training: Whether these are training data. Evaluation data may lack some of the classes.
        key: The key of ``cfg`` in the config.
        say: Whether to print notes on unused images and boxes.
        annotated: Whether annotations are required. Otherwise images and categories are enough.

    Raises:
        UserError: If the annotation file is missing, unreadable or has other classes, if too many images are missing or
            truncated, if an image has another size than stated, or if nothing is left to train on.
    """
    joined: list[int] = []  # concatenated data sets must have the same metainfo
    for path, inner, kind in _unwrapped(cfg, key):
        if hasattr(kind, 'prepare'):
            kind.prepare(**{key: value for key, value in inner.items() if key != 'type'}, num_classes=num_classes)
        if issubclass(kind, CocoDataset):
            annotations, report = _read_annotations(inner, annotated)
            classes = _classes(inner, kind)
            found = _check_classes(annotations, classes, inner['ann_file'], training)
            notes = [*_left_out(inner, annotations, report, path), *_check_masks(inner, annotations, report.source)]
            if say and int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', 0))) == 0:
                for note in notes:
                    print(in_words(f'note: {report.source}: {note}'))
            _check_images(inner, annotations, max_broken)
            if training:
                joined = joined or [found[name] for name in classes]
                inner['metainfo'] = dict(inner.get('metainfo') or {}, category_ids=joined)


def _unwrapped(cfg: dict[str, Any], key: str = '') -> Iterator[tuple[str, dict[str, Any], Any]]:
    """The innermost data sets of a data set config: the key, config and class of each."""
    inner = {f'{key}.datasets.{index}': wrapped for index, wrapped in enumerate(cfg.get('datasets') or ())} or (
        {f'{key}.dataset': cfg['dataset']} if 'dataset' in cfg else {}
    )
    for path, wrapped in inner.items():
        yield from _unwrapped(wrapped, path)
    if not inner:
        yield key, cfg, (DATASETS.get(cfg['type']) if isinstance(cfg['type'], str) else cfg['type']) or object


def _check_images(cfg: dict[str, Any], annotations: dict[str, Any], max_broken: int) -> None:
    folder = os.path.join(cfg.get('data_root') or '', (cfg.get('data_prefix') or {}).get('img', ''))
    check_images(
        [os.path.join(folder, image['file_name']) for image in annotations['images']],
        max_broken,
        'remove them from the annotation file',
        [(image['width'], image['height']) for image in annotations['images']],
        **image_reader(cfg),
    )


def image_reader(cfg: dict[str, Any]) -> dict[str, Any]:
    """The decoder of a data set config: the arguments ``backend`` and ``upright`` of :func:`.check_image_file`."""
    load = next(
        (
            step
            for step in steps(cfg.get('pipeline'))
            if getattr(step.get('type'), '__name__', str(step.get('type'))).endswith(
                ('LoadImageFromFile', 'LoadCompleteImage', 'LoadWholeImage')
            )
        ),
        {},
    )
    return dict(
        backend=load.get('imdecode_backend') or 'cv2', upright=load.get('color_type', 'color') in ('color', 'grayscale')
    )


def refuse_other_classes(train: dict[str, Any], val: dict[str, Any]) -> None:
    """Raise a :class:`.UserError` if the data sets of two configs have different classes.

    Otherwise the same label would mean different classes. Concatenated data sets are checked one by one.
    """
    first = None
    for _, cfg, kind in (*_unwrapped(train), *_unwrapped(val)):
        if not issubclass(kind, BaseDetDataset) or not (classes := _classes(cfg, kind)):
            continue
        first = first or classes
        if classes != first:
            mine, other = next((a, b) for a, b in zip_longest(first, classes) if a != b)
            raise UserError(
                f'The data sets of the config have different classes: {shown(mine)} in one is '
                f'{shown(other)} in another. Set the same metainfo=dict(classes=(...)) in all of them.'
            )


def _classes(cfg: dict[str, Any], kind: Any) -> list[str]:
    """The class names of a data set config, by label."""
    classes = (cfg.get('metainfo') or {}).get('classes') or kind.METAINFO.get('classes') or ()
    return [classes] if isinstance(classes, str) else list(classes)


def _read_annotations(cfg: dict[str, Any], annotated: bool) -> tuple[dict[str, Any], Report]:
    root = cfg.get('data_root') or ''
    path = os.path.join(root, cfg['ann_file'])
    try:
        content = read_json(path)
        if not annotated and isinstance(content, dict):  # files of COCO's test sets lack the list
            content = content | dict(annotations=[])
        annotations = as_annotations(content, path)
    except FileNotFoundError:
        raise UserError(
            f"Annotation file not found: {path}. Expected COCO's layout: "
            f'{os.path.join(root, "annotations", "instances_{train,val}2017.json")}, '
            f'{os.path.join(root, "{train,val}2017", "*.jpg")}.\n'
            f'Put the data there, or name their folder: data_root=DIR.'
        ) from None
    if has_byte_order_mark(path):
        raise UserError(
            f'{path} starts with a byte order mark, which MMDetection cannot read. Save it as UTF-8 '
            f'without one, or name the folder of the data set: data=DIR'
        )
    report = audit(annotations, path, root, check_files=False)
    if not annotated:
        for problem in ('no_annotations', 'no_box'):
            report.found.pop(problem, None)
    report.refuse('training')
    return annotations, report


def _left_out(cfg: dict[str, Any], annotations: dict[str, Any], report: Report, key: str) -> list[str]:
    """Notes on the images and boxes of a data set that training does not use.

    Raises:
        UserError: If nothing is left.
    """
    if cfg.get('test_mode'):
        ignored = report.found.get('ignored')
        return (
            [
                f'{ignored} x a box is marked to be ignored (ignore 1), but the evaluation still uses it. Set iscrowd '
                f'to 1 instead'
            ]
            if ignored
            else []
        )
    filters = cfg.get('filter_cfg') or {}
    least, sizes = filters.get('min_size', 0), image_sizes(annotations)
    large = {number for number, size in sizes.items() if min(size) >= least}
    used = large & {a['image_id'] for a in annotations['annotations']} if filters.get('filter_empty_gt') else large
    small = f'{len(sizes) - len(large)} of {len(sizes)} images have a side below {least} pixels'
    allow = f'To train on them: `cfg_options` {key}.filter_cfg.min_size=0'
    boxes = annotations['annotations']
    if not any(a['image_id'] in used and left_out(a, sizes[a['image_id']]) is None for a in boxes):
        raise UserError(
            f'{report.source}: nothing is left to train on: {small} and are removed by filter_cfg.\n{allow}'
        )
    notes = [f'{small} and are not used for training. {allow}'] if len(large) < len(sizes) else []
    if report.learned < len(boxes):
        notes.append(
            f'{report.learned} of {len(boxes)} boxes are used for training. Not used: {report.reasons}. '
            f'Details: snv2 check-data {report.source}'
        )
    return notes


def _check_masks(cfg: dict[str, Any], annotations: dict[str, Any], source: str) -> list[str]:
    """Notes on the masks of a data set, if its pipeline loads masks.

    Raises:
        UserError: If a box has no valid mask.
    """
    loads = [step for step in steps(cfg.get('pipeline')) if step.get('with_mask')]
    if not loads:
        return []
    sizes = image_sizes(annotations)
    loaded = [a for a in annotations['annotations'] if left_out(a, sizes[a['image_id']]) in (None, 'crowd')]
    faults = [(a, fault) for a in loaded if (fault := _mask_fault(a.get('segmentation'), sizes[a['image_id']]))]
    if faults:
        raise UserError(
            f'{source}: {len(faults)} of {len(loaded)} boxes have no valid mask: annotation id '
            f'{faults[0][0]["id"]} has {faults[0][1]}.\nAdd a "segmentation" to each box, or use a config '
            f'that needs only boxes, such as configs/faster_rcnn_snv2.py'
        )
    unused = sum(not _can_be_drawn(a['segmentation'], loads[0].get('poly2mask', True)) for a in loaded)
    return (
        [
            f'{unused} of {len(loaded)} masks are not used for training: they have no polygon with three points, or '
            f'this config does not support their format'
        ]
        if unused
        else []
    )


def _mask_fault(mask: Any, size: tuple[float, float]) -> str | None:
    """Why MMDetection would fail on a mask; None if it would not."""
    if not mask:
        return 'no mask'
    if isinstance(mask, list):
        is_valid = all(isinstance(polygon, list) for polygon in mask)
        return None if is_valid else 'a segmentation that is not a list of polygons'
    if not isinstance(mask, dict):
        return 'a segmentation that is neither a list of polygons nor run-length encoded'
    if (stated := mask.get('size')) in (None, [size[1], size[0]]):
        return None
    return f'a mask of size {shown(str(stated))} (height, width) in an image of {size[0]:g} x {size[1]:g}'


def _can_be_drawn(mask: Any, as_bitmap: bool) -> bool:
    """Whether MMDetection can use a mask. Otherwise it drops the box."""
    if isinstance(mask, list):
        return any(len(polygon) % 2 == 0 and len(polygon) >= 6 for polygon in mask)
    return as_bitmap and isinstance(mask.get('counts'), (list, str)) and mask.get('size') is not None


def _check_classes(
    annotations: dict[str, Any], classes: Sequence[str], ann_file: str, training: bool
) -> dict[str, int]:
    """The id of each category by its name, after checking the categories against the classes."""
    found = {category['name']: category['id'] for category in annotations['categories']}
    what_to_do = (
        'Set metainfo=dict(classes=(...)) of the data sets and num_classes of the heads to the classes of the file.'
    )
    if twice := [name for name in classes if list(classes).count(name) > 1]:
        raise UserError(f'Duplicate class in the metainfo of the config: {shown(twice[0])}. {what_to_do}')
    if unknown := [name for name in found if name not in classes]:
        raise UserError(
            f'{ann_file} has the {_named(unknown, "category", "categories")}, but the config has the '
            f'{len(classes)} classes {few(classes)}.{same_but_for_spelling(unknown, classes)} {what_to_do}'
        )
    absent = [name for name in classes if name not in found]
    if absent and training:
        raise UserError(f'{ann_file} lacks the {_named(absent, "category", "categories")} of the config. {what_to_do}')
    if absent:
        print(
            f'note: {ann_file} has {len(found)} of the {len(classes)} classes ({few(found)}). Only these are '
            f'evaluated.',
            file=sys.stderr,
        )
    return found


def same_but_for_spelling(names: Iterable[str], classes: Iterable[str]) -> str:
    """A sentence about the first name that differs from a class only in capitals and spaces; empty if there is none."""
    plain = {re.sub(r'[\s_-]+', '', name).casefold(): name for name in classes}
    for name in names:
        if near := plain.get(re.sub(r'[\s_-]+', '', name).casefold()):
            return f' {shown(name)} differs from {shown(near)}: class names must be identical.'
    return ''


def check_images(
    paths: Sequence[str | os.PathLike[str]],
    allowed: int = 0,
    instead: str = 'remove them',
    stated: Sequence[tuple[float, float]] | None = None,
    **reader: Any,
) -> None:
    """Check that image files exist, are complete, and have the stated size.

    Args:
        paths: Image files.
        allowed: How many may be missing or truncated, if that is less than half. A warning names them.
        instead: What to do about files that cannot be replaced, for the message.
        stated: Width and height of each in pixels, from an annotation file; None if unknown.
        reader: The decoder of the images, see :func:`.check_image_file`.

    Raises:
        UserError: If images are missing, truncated, too large to be decoded, or of another size. It names the first.
    """
    checks = check_image_files(paths, **reader)
    faults = [check.fault for check in checks if check.fault]
    if 0 < len(faults) <= allowed and 2 * len(faults) < len(paths):
        print(
            f'warning: {len(faults)} of {len(paths)} images cannot be read and are not used for training: '
            f'{"; ".join(faults)}',
            file=sys.stderr,
        )
    elif faults:
        more = f' and {len(faults) - 3} more (snv2 check-data lists all)' if len(faults) > 3 else ''
        raise UserError(
            f'{len(faults)} of {len(paths)} images cannot be read: {"; ".join(faults[:3])}{more}.\n'
            f'Restore them, or {instead}.'
        )
    refuse_other_sizes(paths, checks, stated or ())


def refuse_other_sizes(
    paths: Sequence[str | os.PathLike[str]], checks: Sequence[ImageCheck], stated: Sequence[tuple[float, float]]
) -> None:
    """Raise a :class:`.UserError` if a valid image has another size than stated. Arguments as above."""
    wrong = [
        (path, check.size, tuple(size))
        for path, check, size in zip(paths, checks, stated)
        if not check.fault and check.size is not None and check.size != tuple(size)
    ]
    if wrong:
        path, size, said = wrong[0]
        turned = all(size == said[::-1] for _, size, said in wrong)
        raise UserError(
            f'{len(wrong)} of {len(paths)} images have another size than the annotations state: {printable(path)} is '
            f'{size[0]} x {size[1]}, stated {said[0]:g} x {said[1]:g}. Boxes would not match their objects.\n'
            + (
                'Width and height are swapped. If the images have an EXIF orientation and the boxes were drawn without '
                'it, remove it: exiftool -Orientation= DIR. Otherwise correct width and height.'
                if turned
                else 'Use the images that the boxes were drawn on, or scale boxes, width and height to these images.'
            )
        )


def _named(names: Sequence[str], one: str, many: str) -> str:
    return f'{one if len(names) == 1 else many} {few(map(repr, names))}'
