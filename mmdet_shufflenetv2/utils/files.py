"""Atomic writing of files: a file is either complete or not there."""

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
    'locked',
    'make_folder',
    'put_in_place',
    'remove_leftovers',
    'to_json',
    'unfinished_file',
    'unfinished_files',
    'unfinished_folder',
    'write_atomically',
    'write_json',
]


@contextmanager
def unfinished_file(path: str | os.PathLike[str], suffix: str | None = None, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the file's folder, and rename it to ``path`` if the context ends without an error.

    After an interruption the old file is unchanged, or the new one is complete.

    Args:
        suffix: Suffix of the temporary name; by default the file's own, from which some writers choose a format.
        sync: See :func:`put_in_place`.

    Raises:
        OSError: If the file cannot be written, or is a folder.
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
def unfinished_files(path: str | os.PathLike[str]) -> Iterator[Path]:
    """:func:`unfinished_file` for a file with additional files: all new files in its temporary folder are moved.

    Raises:
        OSError: If they cannot be written, or ``path`` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    folder = path.with_name(f'.{path.name}.{os.getpid()}.unfinished')
    try:
        folder.mkdir()
        yield folder / path.name
        for file in sorted(folder.iterdir(), key=lambda file: file.name == path.name):  # the named file last
            put_in_place(file, path.parent / file.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def unfinished_folder(path: str | os.PathLike[str], exclusive: bool = False) -> Iterator[Path]:
    """Yield a new temporary folder, and rename it to ``path`` if the context ends without an error; else remove it.

    ``exclusive`` states that no other process writes this folder: leftovers of a killed process are removed.

    Raises:
        OSError: If the folder cannot be created, or ``path`` exists and is not empty.
    """
    path = Path(path)
    unfinished = path.with_name(f'.{path.name}{"" if exclusive else f".{os.getpid()}"}.unfinished')
    if exclusive:
        shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def put_in_place(unfinished: Path, path: Path, sync: bool = True) -> None:
    """Rename a file, replacing an older one. ``sync`` flushes it to disk, so that it survives a power failure."""
    if sync:
        _sync(unfinished)
    os.replace(unfinished, path)
    if sync:
        _sync(path.parent)


def _sync(path: Path) -> None:
    if os.name == 'nt' and path.is_dir():
        return  # Windows cannot open folders
    file = os.open(path, os.O_RDWR if os.name == 'nt' else os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def write_atomically(path: str | os.PathLike[str], content: bytes | str, sync: bool = True) -> None:
    """Write bytes, or text in UTF-8, by way of :func:`unfinished_file`."""
    with unfinished_file(path, suffix='', sync=sync) as unfinished:  # a search for checkpoints must not find it
        unfinished.write_bytes(content.encode(errors='replace') if isinstance(content, str) else content)


def write_json(path: str | os.PathLike[str], content: Any, indent: int | None = 2) -> None:
    """Write a JSON file atomically and create its folder; see :func:`to_json`."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, to_json(content, indent) + '\n')


def to_json(content: Any, indent: int | None = None, **kwargs: Any) -> str:
    """``json.dumps`` that also accepts NumPy numbers and arrays, and writes non-finite numbers as ``null``.

    Python's ``NaN`` is not valid JSON.
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


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Remove temporary files of killed processes."""
    for path in Path(folder).glob('.*.unfinished*'):
        path.unlink(missing_ok=True)


def make_folder(path: str | os.PathLike[str], name: str) -> Path:
    """Create an output folder if it does not exist.

    Args:
        name: Argument that contains its path or that of a file in it, for the error message.

    Raises:
        UserError: If it cannot be created.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f'`{name}`: cannot create the folder {folder} ({error.strerror}). Choose another one.'
        ) from error
    return folder


@contextmanager
def locked(path: str | os.PathLike[str], wait: bool = True) -> Iterator[None]:
    """Hold an exclusive lock on a lock file. Does nothing on systems without ``fcntl``.

    Raises:
        BlockingIOError: If another process holds the lock and ``wait`` is false.
    """
    try:
        import fcntl  # not on Windows
    except ImportError:
        yield
        return
    with open(path, 'a') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
