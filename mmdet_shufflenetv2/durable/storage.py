"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import mmengine
from mmengine.fileio import LocalBackend, register_backend

__all__ = ['AtomicBackend', 'remove_leftovers', 'write_atomically']


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


def remove_leftovers(folder: str | os.PathLike) -> None:
    """Remove what killed processes left of unfinished files."""
    for path in Path(folder).glob('.*.unfinished'):
        path.unlink(missing_ok=True)


class AtomicBackend(LocalBackend):
    """MMEngine's local files, written atomically."""

    def put(self, obj: bytes, filepath: str | os.PathLike) -> None:
        """Write bytes to a file; see :func:`write_atomically`."""
        mmengine.mkdir_or_exist(os.path.dirname(filepath))
        write_atomically(filepath, obj)


register_backend('atomic', AtomicBackend, force=True)
