"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from .errors import UserError

__all__ = ['make_folder', 'remove_leftovers', 'to_json', 'write_atomically', 'write_json']


def write_atomically(path: str | os.PathLike, content: bytes) -> None:
    """Write a file under a temporary name beside its own, have it reach the disk, and rename it.

    Whatever interrupts that leaves the file as it was before, or whole.

    Raises:
        OSError: If it cannot be written; the temporary file is gone.
    """
    path = Path(path)
    unfinished = path.with_name(f'.{path.name}.{os.getpid()}.unfinished')
    try:
        with open(unfinished, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else a power cut may take the name back
    finally:
        os.close(folder)


def write_json(path: str | os.PathLike, content: Any, indent: int | None = 2) -> None:
    """Write a JSON file as :func:`write_atomically` does, and the folder that it is in; see :func:`to_json`."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (to_json(content, indent) + '\n').encode())


def to_json(content: Any, indent: int | None = None, **kwargs: Any) -> str:
    """``content`` as JSON. What is not finite becomes ``null``: Python's ``NaN`` is not JSON, and others refuse it.

    Args:
        content: What ``json.dumps`` takes, and NumPy's numbers and arrays.
        indent, kwargs: Arguments of ``json.dumps``.
    """
    kwargs = dict(default=_plain, indent=indent) | kwargs
    try:
        return json.dumps(content, **kwargs, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(json.loads(json.dumps(content, **kwargs))), **kwargs, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, (set, range)):
        return list(value)
    raise TypeError(f'{type(value).__name__} cannot be written as JSON.')


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def remove_leftovers(folder: str | os.PathLike) -> None:
    """Remove what killed processes left of unfinished files."""
    for path in Path(folder).glob('.*.unfinished'):
        path.unlink(missing_ok=True)


def make_folder(path: str | os.PathLike, name: str) -> Path:
    """Make a folder to write to, unless it is there.

    Args:
        path: The folder.
        name: The argument that names it or a file in it, for the message.

    Raises:
        UserError: If it cannot be made.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'`{name}`: the folder {folder} cannot be made ({error.strerror}). Name another one.') from error
    return folder
