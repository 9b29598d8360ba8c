"""The data of an evaluation: printed before it, and stored in a note next to its results."""

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

    #: ``test``, or ``val`` if the config tests on its validation data.
    split: str
    #: COCO annotation file and the folder of its images, absolute.
    ann_file: str
    image_folder: str
    #: Number of images and annotations. Test sets with secret annotations have none.
    images: int
    annotations: int
    #: Digest of image ids and names, see :func:`images_digest`.
    digest: str

    def __str__(self) -> str:
        return (
            f'the {self.split} split: {self.ann_file} ({self.images} images, {self.annotations} annotations), '
            f'images in {self.image_folder}'
        )


def evaluation_data(cfg: Config) -> EvaluationData | None:
    """The test data of a config; None if it has no readable COCO annotation file."""
    dataset = base_dataset(cfg, 'test')
    path, folder = (
        _path(dataset, value) for value in (dataset.get('ann_file'), (dataset.get('data_prefix') or {}).get('img', ''))
    )
    try:
        content = read_json(path) if path and folder else None
    except (FileNotFoundError, UserError):
        return None
    if not path or not folder or not isinstance(content, dict) or not isinstance(content.get('images'), list):
        return None
    validation = base_dataset(cfg, 'val') if cfg.get('val_dataloader') else {}
    return EvaluationData(
        'val' if validation and _path(validation, validation.get('ann_file')) == path else 'test',
        path,
        folder,
        len(content['images']),
        len(content.get('annotations') or []),
        images_digest(content),
    )


def images_digest(content: dict[str, Any]) -> str:
    """A digest that is equal for annotation files with the same image names and ids."""
    images = [[image.get('id'), file_name(image)] for image in content['images'] if isinstance(image, dict)]
    return hashlib.sha256(json.dumps(sorted(images, key=str)).encode()).hexdigest()[:16]


def file_name(entry: dict[str, Any]) -> str:
    """The ``file_name`` of an entry without folders, including those of Windows paths."""
    return PurePosixPath(str(entry.get('file_name')).replace('\\', '/')).name


def write_note(results: str | os.PathLike[str], data: EvaluationData, **more: Any) -> None:
    """Store the data of a results file in a note next to it: ``results.data.json`` for ``results.json``."""
    write_json(_note(results), data._asdict() | more)


def read_note(results: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The note of :func:`write_note`; None if there is none."""
    try:
        note = read_json(_note(results))
    except (FileNotFoundError, UserError):
        return None
    texts = ('ann_file', 'image_folder', 'digest')
    return note if isinstance(note, dict) and all(isinstance(note.get(key), str) for key in texts) else None


def _note(results: str | os.PathLike[str]) -> Path:
    return Path(f'{os.path.splitext(results)[0]}.data.json')


def _path(dataset: dict[str, Any], name: Any) -> str | None:
    return os.path.abspath(os.path.join(dataset.get('data_root') or '', name)) if isinstance(name, str) else None
