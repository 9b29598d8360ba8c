"""Where this project's configs lie, and folders that a run writes to."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import UserError

__all__ = ['make_folder', 'project_configs']


def project_configs() -> Path:
    """Beside the package in a checkout; in its folder ``.mim`` where it was installed from a wheel, for mim."""
    package = Path(__file__).resolve().parents[1]
    installed = package / '.mim' / 'configs'
    return installed if installed.is_dir() else package.parent / 'configs'


def make_folder(path: str | os.PathLike, flag: str) -> Path:
    """Make a folder to write to, unless it is there.

    Args:
        path: The folder.
        flag: The option that names it or a file in it, for the message.

    Raises:
        UserError: If it cannot be made.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'{flag}: the folder {folder} cannot be made ({error.strerror}). Name another one.') from error
    return folder
