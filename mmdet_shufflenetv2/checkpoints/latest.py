"""The newest checkpoint of a folder that is whole."""

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

#: The file in which MMEngine notes the newest checkpoint of a folder.
LAST_CHECKPOINT = 'last_checkpoint'

# Of each kind, the number says which is the newest; between kinds, the file does.
_KINDS = ('epoch', 'iter', 'midway')


def latest_valid_checkpoint(*folders: str | os.PathLike) -> Path | None:
    """The whole checkpoint with the most steps, of those that training saves regularly; best ones do not count.

    A file that is torn is named in the log and passed over.
    """
    found = {}
    for kind in _KINDS:
        paths = {path.resolve() for folder in folders for path in Path(folder).glob(f'{kind}_*.pth')
                 if re.fullmatch(rf'{kind}_\d+\.pth', path.name)}
        for path in sorted(paths, key=lambda path: int(path.stem.split('_')[-1]), reverse=True):
            if is_valid_checkpoint(path) and (steps := _steps(path)) is not None:
                found[path] = steps
                break
            print_log(f'{path} is torn; it is passed over for the one before it.', 'current', logging.WARNING)
    return max(found, key=found.get, default=None)


def _steps(path: Path) -> tuple[int, int] | None:
    """Whole epochs, then iterations, whose number in an epoch a resumed run may have changed."""
    try:
        meta = checkpoints.load(path, map_location='cpu')['meta']
        return meta.get('epoch', 0), meta['iter']
    except (UserError, LookupError, TypeError):
        return None


def is_valid_checkpoint(path: str | os.PathLike) -> bool:
    """Whether a checkpoint is a whole file: its directory, which stands at the end, is there and all sums are right."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError):
        return False
