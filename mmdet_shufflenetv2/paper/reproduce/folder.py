"""Files of an output folder: the run that it belongs to, its result, and the provenance of each step."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import torch

from ...profiling.timing import machine_name
from ...utils.errors import UserError
from ...utils.files import write_json

__all__ = ['PROVENANCE', 'RESULT', 'RUN', 'claim', 'collect_provenance', 'read_json', 'write_json']

#: Settings of the run that the folder belongs to.
RUN = 'run.json'
#: Result of the run.
RESULT = 'result.json'
#: Data, machine and date of a step, in its own folder: they may differ between steps.
PROVENANCE = 'provenance.json'


def claim(folder: Path, run: dict[str, Any], resume: bool) -> None:
    """Reserve a folder for a run (given by its row, configs and weights), or check that it can be resumed there.

    Raises:
        UserError: If the folder contains another run, the same one without ``resume``, or other files.
    """
    found = read_json(folder / RUN)
    if found is None:
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError(f'{folder} contains other files. Choose another folder: out=DIR.')
        write_json(folder / RUN, run)
        return
    differing = [key for key in sorted({*found, *run}) if found.get(key) != run.get(key)]
    if differing:
        differences = '; '.join(f'{key} {found.get(key)}, not {run.get(key)}' for key in differing)
        raise UserError(
            f'{folder} contains a run of another row or with other settings: {differences}. Choose another '
            f'folder: out=DIR.'
        )
    if not resume:
        raise UserError(
            f'{folder} already contains a run of {run["row"]}. Continue it with `resume`, or choose '
            f'another folder: out=DIR.'
        )


def read_json(path: Path) -> Any:
    """Content of a JSON file; None if it is missing or incomplete."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (FileNotFoundError, ValueError):
        return None


def collect_provenance(before: dict[str, Any] | None, images: int | None = None) -> dict[str, Any]:
    """Provenance of a step that runs now; ``before`` is that of the part that ran before it was stopped.

    Returns:
        ``images`` (None for a step that reads none), ``machine`` and ``torch`` (its version), several of them if the
        step was resumed elsewhere, and today's ``date``.
    """
    now = dict(machine=machine_name('cuda' if torch.cuda.is_available() else 'cpu'), torch=torch.__version__)
    for key, value in (before or {}).items():
        if key in now:
            now[key] = value if now[key] in value.split(' and ') else f'{value} and {now[key]}'
    return dict(images=images) | now | dict(date=date.today().isoformat())
