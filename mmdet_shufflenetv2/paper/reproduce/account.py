"""On what a step ran, written down while it runs: later, data, machine and date may be others."""

from __future__ import annotations

from datetime import date
from typing import Any

import torch

from ...profiling.timing import machine_name

__all__ = ['ACCOUNT', 'account_of']

#: The file in the step's folder.
ACCOUNT = 'account.json'


def account_of(before: dict[str, Any] | None, images: int | None = None) -> dict[str, Any]:
    """What is to be told of a step that runs now.

    Args:
        before: What was told of the part that ran before it was stopped; None at the beginning.
        images: Number of images that it goes through; None for a step that reads none.

    Returns:
        ``images``, ``machine`` and ``torch`` (the version), several of them where it went on elsewhere, and ``date``,
        today's.
    """
    now = dict(machine=machine_name('cuda' if torch.cuda.is_available() else 'cpu'), torch=torch.__version__)
    for key, value in (before or {}).items():
        if key in now and now[key] not in value.split(' and '):
            now[key] = f'{value} and {now[key]}'
        elif key in now:
            now[key] = value
    return dict(images=images) | now | dict(date=date.today().isoformat())
