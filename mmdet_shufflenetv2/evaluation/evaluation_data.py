"""What a detector is evaluated on: said before the evaluation, and noted beside its results."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from mmengine.config import Config

from ..data.annotation_file import read_json
from ..data.pipelines import base_dataset
from ..utils.errors import UserError
from ..utils.files import write_json

__all__ = ['EvaluationData', 'evaluation_data', 'file_name', 'images_digest', 'read_note', 'write_note']


class EvaluationData(NamedTuple):
    """The images of an evaluation."""

    #: ``test``, or ``val`` where the config tests on what it validates on.
    split: str
    #: COCO annotation file and the folder of its images, absolute.
    ann_file: str
    image_folder: str
    #: How many of each the file lists; no annotation where it is of a test set that is scored elsewhere.
    images: int
    annotations: int
    #: Of their ids and names; see :func:`images_digest`.
    digest: str

    def __str__(self) -> str:
        return (f'the {self.split} split: {self.ann_file} ({self.images} images, {self.annotations} annotations), '
                f'images in {self.image_folder}')


def evaluation_data(cfg: Config) -> EvaluationData | None:
    """What a config tests on; None where that is not a readable file in COCO's format, which is said elsewhere."""
    dataset = base_dataset(cfg, 'test')
    path, folder = (_path(dataset, value) for value in (
        dataset.get('ann_file'), (dataset.get('data_prefix') or {}).get('img', '')))
    try:
        content = read_json(path) if path else None
    except (FileNotFoundError, UserError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get('images'), list):
        return None
    validation = base_dataset(cfg, 'val') if cfg.get('val_dataloader') else {}
    return EvaluationData(
        'val' if validation and _path(validation, validation.get('ann_file')) == path else 'test',
        path, folder, len(content['images']), len(content.get('annotations') or []), images_digest(content))


def images_digest(content: dict[str, Any]) -> str:
    """A short text that two annotation files share if they list the same images under the same ids."""
    images = [[image.get('id'), file_name(image)] for image in content['images'] if isinstance(image, dict)]
    return hashlib.sha256(json.dumps(sorted(images, key=str)).encode()).hexdigest()[:16]


def file_name(entry: dict[str, Any]) -> str:
    """An entry's ``file_name`` without folders, those of Windows included."""
    return PurePosixPath(str(entry.get('file_name')).replace('\\', '/')).name


def write_note(results: str | os.PathLike, data: EvaluationData, **more: Any) -> None:
    """Write what a results file is of beside it: ``results.data.json`` beside ``results.json``."""
    write_json(_note(results), data._asdict() | more)


def read_note(results: str | os.PathLike) -> dict[str, Any] | None:
    """What :func:`write_note` has left beside a results file; None where there is nothing of the kind."""
    try:
        note = read_json(_note(results))
    except (FileNotFoundError, UserError):
        return None
    texts = ('ann_file', 'image_folder', 'digest')
    return note if isinstance(note, dict) and all(isinstance(note.get(key), str) for key in texts) else None


def _note(results: str | os.PathLike) -> Path:
    return Path(f'{os.path.splitext(results)[0]}.data.json')


def _path(dataset: dict[str, Any], name: Any) -> str | None:
    return os.path.abspath(os.path.join(dataset.get('data_root') or '', name)) if isinstance(name, str) else None
