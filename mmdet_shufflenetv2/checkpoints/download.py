"""Errors for checkpoints that cannot be downloaded."""

from __future__ import annotations

import difflib
import os
from urllib.error import URLError

import torch
from mmengine.runner.checkpoint import get_torchvision_models

from ..utils.errors import UserError

__all__ = ['NETWORK_ERRORS', 'DownloadError', 'check_address', 'download_error']

NETWORK_ERRORS = (URLError, TimeoutError, ConnectionError)
_TORCHVISION = 'torchvision://'


class DownloadError(UserError):
    """A checkpoint cannot be downloaded; ``filename`` is its name or address, if known."""

    filename = ''


def download_error(filename: str, error: Exception) -> DownloadError:
    """The error for a failed download, which says which file to download and where to put it."""
    url = filename
    if filename.startswith(_TORCHVISION):
        url = get_torchvision_models()[filename.removeprefix(_TORCHVISION)]
    cached = os.path.join(torch.hub.get_dir(), 'checkpoints', os.path.basename(url))
    failed = DownloadError(
        f'{filename} cannot be downloaded ({getattr(error, "reason", error)}). Download {url} '
        f'on a machine with internet access and copy it to {cached}.'
    )
    failed.filename = filename
    return failed


def check_address(filename: str) -> None:
    """Raise a :class:`UserError` for unknown torchvision weights."""
    if filename.startswith(_TORCHVISION):
        name, known = filename.removeprefix(_TORCHVISION), get_torchvision_models()
        if name not in known:
            near = difflib.get_close_matches(name, known, n=4) or sorted(k for k in known if 'shufflenet' in k)
            raise UserError(f'Unknown torchvision weights: {name}. Did you mean: {", ".join(near)}?')
