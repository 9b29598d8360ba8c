"""Read a COCO results file and its annotations."""

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


def find_data(
    results: str | os.PathLike[str], annotations: str | os.PathLike[str] | None, images: str | os.PathLike[str] | None
) -> tuple[str | os.PathLike[str], Path]:
    """The annotation file and the image folder of a results file: those given, or else those in its note.

    Raises:
        UserError: If one is neither given nor in the note, or if the folder is missing.
    """
    note = read_note(results) or {}
    if not note and None in (annotations, images) and os.path.isfile(results):
        missing = [flag for flag, given in (('ann=FILE', annotations), ('images=DIR', images)) if given is None]
        raise UserError(
            f'The data of {results} are unknown: snv2 eval --out stores them in a file next to it. Name '
            f'them: {" ".join(missing)}'
        )
    folder = Path(note.get('image_folder', '') if images is None else images)
    if not folder.is_dir():
        raise UserError(
            f'images={folder} is not a folder. Expected the folder of the annotated images, such as data/coco/val2017.'
        )
    return note.get('ann_file', '') if annotations is None else annotations, folder


def read_annotations(path: str | os.PathLike[str], images: Path) -> dict[str, Any]:
    """Read and complete a COCO annotation file.

    Raises:
        UserError: If it is missing or invalid, or if an image has another size than stated.
    """
    try:
        content = read_json(path)
    except FileNotFoundError:
        raise UserError(f'ann={path}: file not found.') from None
    if isinstance(content, list):
        raise UserError(f'ann={path} is not a COCO annotation file, it looks like results. Name results without `ann`.')
    annotations = complete_annotations(as_annotations(content, path), images)
    audit(annotations, path, images, check_files=False).refuse('evaluation')
    listed = annotations['images']
    files = [images / image['file_name'] for image in listed]
    refuse_other_sizes(files, check_image_files(files), [(image['width'], image['height']) for image in listed])
    return annotations


def read_results(path: str | os.PathLike[str], annotations: dict[str, Any]) -> list[dict[str, Any]]:
    """A COCO results file: a list of detections with ``image_id``, ``category_id``, ``bbox`` and ``score``.

    Raises:
        UserError: If the file is missing, invalid or empty, or if it has other images or categories than the
            annotations.
    """
    how = 'To write one: snv2 eval CONFIG CHECKPOINT --out results.json'
    try:
        results = read_json(path)
    except FileNotFoundError:
        raise UserError(f'Results file not found: {path}. {how}') from None
    if not isinstance(results, list):
        annotated = isinstance(results, dict) and 'images' in results
        raise UserError(
            f'{path} is not a list of detections. '
            f'{"It looks like annotations: name them with `ann`." if annotated else how}'
        )
    if not results:
        raise UserError(f'{path} contains no detections, so there is nothing to analyze.')
    for index, one in enumerate(results):
        if not _is_detection(one):
            raise UserError(
                f'{path}: entry {index} is not a detection with image_id, category_id, bbox (x, y, width, '
                f'height) and score. {how}'
            )
    _refuse_other_images(path, results, annotations)
    for key, among in (('image_id', 'images'), ('category_id', 'categories')):
        known = {entry['id'] for entry in annotations[among]}
        if strays := sorted({str(one[key]) for one in results if one[key] not in known}):
            raise UserError(
                f'{path} does not belong to these annotations: `ann` does not list {len(strays)} values of '
                f'its {key}, such as {strays[0]}.'
            )
    return results


def _refuse_other_images(
    path: str | os.PathLike[str], results: list[dict[str, Any]], annotations: dict[str, Any]
) -> None:
    """Compare the images by name, because ids often match by chance: most files count from 1."""
    note = read_note(path)
    if note and note['digest'] != images_digest(annotations):
        listed = len(annotations['images'])
        raise UserError(
            f'{path} has results for the {note.get("images")} images of {note["ann_file"]}, but `ann` '
            f'lists {listed} other images. Remove `ann` and `images`.'
        )
    names = {image['id']: file_name(image) for image in annotations['images']}
    for one in results:
        if 'file_name' in one and file_name(one) != names.get(one['image_id'], file_name(one)):
            raise UserError(
                f'{path} does not belong to these annotations: its image_id {one["image_id"]} is '
                f'{file_name(one)}, but in `ann` it is {names[one["image_id"]]}.'
            )


def _is_detection(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and is_box(entry.get('bbox'))
        and all(is_number(entry.get(key)) for key in ('image_id', 'category_id', 'score'))
    )
