"""The writer of files: each is there complete or not at all."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .errors import UserError

__all__ = [
    'locked', 'make_folder', 'put_in_place', 'remove_leftovers', 'to_json', 'unfinished_file', 'unfinished_folder',
    'write_atomically', 'write_json'
]


@contextmanager
def unfinished_file(path: str | os.PathLike, suffix: str | None = None, sync: bool = True) -> Iterator[Path]:
    """A name to write a file under, beside its own; when the context ends well, the file gets its own name.

    Whatever interrupts that leaves the file as it was before, or complete.

    Args:
        suffix: How the temporary name ends; by default as the file's, by which some writers choose a format.
        sync: As for :func:`put_in_place`.

    Raises:
        OSError: If it cannot be written, or is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    unfinished = path.with_name(f'.{path.name}.{os.getpid()}.unfinished{path.suffix if suffix is None else suffix}')
    try:
        yield unfinished
        put_in_place(unfinished, path, sync)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


@contextmanager
def unfinished_folder(path: str | os.PathLike, alone: bool = False) -> Iterator[Path]:
    """A new folder to fill, beside ``path``, which it becomes when the context ends well; else it is removed.

    With ``alone``, no other process can be at it: what a killed one has left is removed.

    Raises:
        OSError: If it cannot be made, or ``path`` is there and not empty.
    """
    path = Path(path)
    unfinished = path.with_name(f'.{path.name}{"" if alone else f".{os.getpid()}"}.unfinished')
    if alone:
        shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def put_in_place(unfinished: Path, path: Path, sync: bool = True) -> None:
    """Rename a file, in place of an older one; with ``sync``, wait for the disk, so that no power cut takes it back."""
    if sync:
        _sync(unfinished)
    os.replace(unfinished, path)
    if sync:
        _sync(path.parent)


def _sync(path: Path) -> None:
    if os.name == 'nt' and path.is_dir():
        return  # Windows opens no folders
    file = os.open(path, os.O_RDWR if os.name == 'nt' else os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def write_atomically(path: str | os.PathLike, content: bytes | str, sync: bool = True) -> None:
    """Write bytes, or text as UTF-8, as :func:`unfinished_file` does."""
    with unfinished_file(path, suffix='', sync=sync) as unfinished:  # no name that a search for checkpoints finds
        unfinished.write_bytes(content.encode(errors='replace') if isinstance(content, str) else content)


def write_json(path: str | os.PathLike, content: Any, indent: int | None = 2) -> None:
    """Write a JSON file as :func:`write_atomically` does, and the folder that it is in; see :func:`to_json`."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, to_json(content, indent) + '\n')


def to_json(content: Any, indent: int | None = None, **kwargs: Any) -> str:
    """``json.dumps`` that takes NumPy's numbers and arrays, too, and writes what is not finite as ``null``.

    Python's ``NaN`` is not JSON, and others refuse it.
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
    for path in Path(folder).glob('.*.unfinished*'):
        path.unlink(missing_ok=True)


def make_folder(path: str | os.PathLike, name: str) -> Path:
    """Make a folder to write to, unless it is there.

    Raises:
        UserError: If it cannot be made; ``name`` is the argument that names it or a file in it.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f'`{name}`: the folder {folder} cannot be made ({error.strerror}). Name another one.') from error
    return folder


@contextmanager
def locked(path: str | os.PathLike, wait: bool = True) -> Iterator[None]:
    """Within it no other process is within the same lock file. Where the system has no such locks, it does nothing.

    Raises:
        BlockingIOError: If another one is, and this one does not ``wait``.
    """
    try:
        import fcntl  # not on Windows
    except ImportError:
        yield
        return
    with open(path, 'a') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
