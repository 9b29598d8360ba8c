"""What lies in an output folder, and whose it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...utils.errors import UserError
from ...utils.files import write_json

__all__ = ['RESULT', 'RUN', 'claim', 'read_json', 'write_json']

#: Whose the folder is.
RUN = 'run.json'
#: What came out.
RESULT = 'result.json'


def claim(folder: Path, run: dict[str, Any], resume: bool) -> None:
    """Take a folder for a run, or go on with the run that it holds.

    Args:
        folder: Where the run writes; created where it is missing.
        run: What makes the run this one: its row, its configs and weights.
        resume: Whether a folder that holds the same run already is welcome.

    Raises:
        UserError: If it holds another run, the same one and ``resume`` is not set, or other files.
    """
    found = read_json(folder / RUN)
    if found is None:
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError(f'{folder} holds other files. Name another folder: out=DIR.')
        write_json(folder / RUN, run)
        return
    differing = [key for key in sorted({*found, *run}) if found.get(key) != run.get(key)]
    if differing:
        said = '; '.join(f'{key} {found.get(key)}, not {run.get(key)}' for key in differing)
        raise UserError(f'{folder} holds the run of another row or with other settings: {said}. Name another folder: '
                        f'out=DIR.')
    if not resume:
        raise UserError(f'{folder} holds a run of {run["row"]} already. Go on with it: `resume`. Or name another '
                        f'folder: out=DIR.')


def read_json(path: Path) -> Any:
    """What a file says, None where it is missing or was not written to its end."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (FileNotFoundError, ValueError):
        return None
