"""Finding the latest valid checkpoint of a folder."""

from __future__ import annotations

import logging
import os
import re
import zipfile
from pathlib import Path

from mmengine.logging import print_log

from ..utils.errors import UserError
from . import safe_loading as checkpoints

__all__ = ['LAST_CHECKPOINT', 'is_valid_checkpoint', 'latest_valid_checkpoint']

#: File in which MMEngine stores the name of the latest checkpoint.
LAST_CHECKPOINT = 'last_checkpoint'

# Within a kind, the number in the name tells which is the latest; between kinds, the metadata do.
_KINDS = ('epoch', 'iter', 'midway')


def latest_valid_checkpoint(*folders: str | os.PathLike[str]) -> Path | None:
    """The valid checkpoint with the most steps among those that training saves regularly, not the best ones.

    Corrupt files are skipped with a warning in the log.
    """
    found = {}
    for kind in _KINDS:
        paths = {
            path.resolve()
            for folder in folders
            for path in Path(folder).glob(f'{kind}_*.pth')
            if re.fullmatch(rf'{kind}_\d+\.pth', path.name)
        }
        for path in sorted(paths, key=lambda path: int(path.stem.split('_')[-1]), reverse=True):
            if is_valid_checkpoint(path) and (steps := _steps(path)) is not None:
                found[path] = steps
                break
            print_log(f'Skipping corrupt checkpoint {path}.', 'current', logging.WARNING)
    return max(found, key=lambda path: found[path], default=None)


def _steps(path: Path) -> tuple[int, int] | None:
    """Completed epochs and iterations; a resumed run may have changed the number of iterations per epoch."""
    try:
        meta = checkpoints.load(path, map_location='cpu')['meta']
        return meta.get('epoch', 0), meta['iter']
    except (UserError, LookupError, TypeError):
        return None


def is_valid_checkpoint(path: str | os.PathLike[str]) -> bool:
    """Whether a checkpoint is complete: the archive's directory, at its end, exists and all checksums are correct."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError):
        return False
