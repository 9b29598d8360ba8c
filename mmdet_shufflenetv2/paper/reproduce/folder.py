"""What lies in an output folder: whose it is, and on what each step ran."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import torch

from ...profiling.timing import machine_name
from ...utils.errors import UserError
from ...utils.files import write_json

__all__ = ['ACCOUNT', 'RESULT', 'RUN', 'account_of', 'claim', 'read_json', 'write_json']

#: Whose the folder is.
RUN = 'run.json'
#: What came out.
RESULT = 'result.json'
#: On what a step ran, in its own folder: later, data, machine and date may be others.
ACCOUNT = 'account.json'


def claim(folder: Path, run: dict[str, Any], resume: bool) -> None:
    """Take a folder for a run (``run`` says which: its row, configs and weights), or go on with the one that it holds.

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


def account_of(before: dict[str, Any] | None, images: int | None = None) -> dict[str, Any]:
    """What is to be told of a step that runs now, and, with ``before``, of the part that ran before it was stopped.

    Returns:
        ``images`` (None for a step that reads none), ``machine`` and ``torch`` (the version), several of them where it
        went on elsewhere, and ``date``, today's.
    """
    now = dict(machine=machine_name('cuda' if torch.cuda.is_available() else 'cpu'), torch=torch.__version__)
    for key, value in (before or {}).items():
        if key in now:
            now[key] = value if now[key] in value.split(' and ') else f'{value} and {now[key]}'
    return dict(images=images) | now | dict(date=date.today().isoformat())
