"""Checkpoints written by MMEngine are there completely or not at all."""

from __future__ import annotations

import os

import mmengine
from mmengine.fileio import LocalBackend, register_backend

from ...compat.patches import install
from ...utils.files import write_atomically

__all__ = ['AtomicBackend']


class AtomicBackend(LocalBackend):
    """MMEngine's local files, written atomically."""

    def put(self, obj: bytes, filepath: str | os.PathLike) -> None:
        """Write bytes to a file; see :func:`write_atomically`."""
        mmengine.mkdir_or_exist(os.path.dirname(filepath))
        write_atomically(filepath, obj)


install('mmengine.fileio:atomic backend', register_backend, 'atomic', AtomicBackend, force=True)
