"""Reading a COCO results file and the annotations that it belongs to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...data.annotation_file import as_annotations, read_json
from ...data.audit import audit, is_box, is_number
from ...data.checks import refuse_other_sizes
from ...data.complete_annotations import complete_annotations
from ...utils.errors import UserError
from ...utils.images import check_image_files
from ..evaluation_data import file_name, images_digest, read_note

__all__ = ['find_data', 'read_annotations', 'read_results']


def find_data(results: str | os.PathLike, annotations: str | os.PathLike | None,
              images: str | os.PathLike | None) -> tuple[str | os.PathLike, Path]:
    """The annotation file and the image folder of a results file: those named, else what was noted beside it.

    Raises:
        UserError: If one is neither named nor noted, or if the folder is missing.
    """
    note = read_note(results) or {}
    if not note and None in (annotations, images) and os.path.isfile(results):
        missing = [flag for flag, given in (('ann=FILE', annotations), ('images=DIR', images)) if given is None]
        raise UserError(f'{results} has no note of its data beside it, as snv2 eval --out writes it. Name the '
                        f'data: {" ".join(missing)}')
    folder = Path(note.get('image_folder', '') if images is None else images)
    if not folder.is_dir():
        raise UserError(f'images={folder} is no folder. Expected the one with the images of the annotations, such as '
                        f'data/coco/val2017.')
    return note.get('ann_file', '') if annotations is None else annotations, folder


def read_annotations(path: str | os.PathLike, images: Path) -> dict[str, Any]:
    """A COCO annotation file, with what some tools leave out filled in.

    Raises:
        UserError: If it is missing or no annotation file, if something in it is fatal, or if an image is there and has
            another size than it states.
    """
    try:
        content = read_json(path)
    except FileNotFoundError:
        raise UserError(f'ann={path}: there is no such file.') from None
    if isinstance(content, list):
        raise UserError(f'ann={path} is no COCO annotation file. It looks like results: those come first, without '
                        f'`ann`.')
    annotations = complete_annotations(as_annotations(content, path), images)
    audit(annotations, path, images, look=False).refuse('an evaluation')
    listed = annotations['images']
    files = [images / image['file_name'] for image in listed]
    refuse_other_sizes(files, check_image_files(files), [(image['width'], image['height']) for image in listed])
    return annotations


def read_results(path: str | os.PathLike, annotations: dict[str, Any]) -> list[dict[str, Any]]:
    """A COCO results file: a list of detections with ``image_id``, ``category_id``, ``bbox`` and ``score``.

    Raises:
        UserError: If the file is missing, is no such list, is empty, or belongs to other annotations: each detection
            has to be of their images and categories.
    """
    how = 'snv2 eval CONFIG CHECKPOINT --out results.json writes one.'
    try:
        results = read_json(path)
    except FileNotFoundError:
        raise UserError(f'There is no results file {path}. {how}') from None
    if not isinstance(results, list):
        annotated = isinstance(results, dict) and 'images' in results
        raise UserError(f'{path} is no list of detections. '
                        f'{"It looks like annotations: name those with `ann`." if annotated else how}')
    if not results:
        raise UserError(f'{path} holds no detection at all: nothing to analyze.')
    for place, one in enumerate(results):
        if not _is_detection(one):
            raise UserError(f'{path}: entry {place} is no detection with image_id, category_id, bbox (x, y, width, '
                            f'height) and score. {how}')
    _refuse_other_images(path, results, annotations)
    for key, among in (('image_id', 'images'), ('category_id', 'categories')):
        known = {entry['id'] for entry in annotations[among]}
        if strays := sorted({str(one[key]) for one in results if one[key] not in known}):
            raise UserError(f'{path} has {len(strays)} values of {key} that `ann` does not list, such as {strays[0]}: '
                            f'it belongs to other annotations.')
    return results


def _refuse_other_images(path: str | os.PathLike, results: list[dict[str, Any]], annotations: dict[str, Any]) -> None:
    """Ids alone may fit the annotations of other images: most files count from 1."""
    note = read_note(path)
    if note and note['digest'] != images_digest(annotations):
        listed = len(annotations['images'])
        raise UserError(f'{path} is of the {note.get("images")} images of {note["ann_file"]}, and `ann` lists '
                        f'{listed} others. Leave out `ann` and `images`.')
    names = {image['id']: file_name(image) for image in annotations['images']}
    for one in results:
        if 'file_name' in one and file_name(one) != names.get(one['image_id'], file_name(one)):
            raise UserError(f'{path} has image_id {one["image_id"]} for {file_name(one)}, and `ann` has it for '
                            f'{names[one["image_id"]]}: it belongs to other annotations.')


def _is_detection(entry: Any) -> bool:
    return isinstance(entry, dict) and is_box(entry.get('bbox')) and all(
        is_number(entry.get(key)) for key in ('image_id', 'category_id', 'score'))
