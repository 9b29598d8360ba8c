"""Published weights by name: their addresses, and downloading them into the cache.

The cache is PyTorch's own, ``torch.hub.get_dir()/checkpoints``. ``TORCH_HOME`` moves it.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import shutil
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.logging import print_log

from ..utils.download import download
from ..utils.errors import UserError
from ..utils.files import locked, unfinished_file
from .download import DownloadError
from .nanodet_layout import Variant, variant_of
from .safe_loading import load
from .unwrap import find_weights

__all__ = ['WEIGHTS', 'Weights', 'fetch_weights', 'is_named', 'named_weights', 'near_weights']


class Weights(NamedTuple):
    """Published weights."""

    #: Name of the file in the cache -> address, in the order in which they are tried.
    files: dict[str, str]
    #: Name of their config.
    config: str
    #: Variant of NanoDet; None for a classifier.
    variant: Variant | None = None


_DRIVE = 'https://drive.usercontent.google.com/download?id={}&export=download&confirm=t'
_STAGES = {0.5: (48, 96, 192), 1.0: (116, 232, 464), 1.5: (176, 352, 704)}
_M, _M_05, _M_15 = (Variant(plus=False, stages=_STAGES[width], levels=3, classes=80) for width in (1.0, 0.5, 1.5))
_PLUS_M, _PLUS_M_15 = (Variant(plus=True, stages=_STAGES[width], levels=4, classes=80) for width in (1.0, 1.5))
# https://github.com/RangiLyu/nanodet#model-zoo; no checksums are published.
WEIGHTS = {
    name: Weights({f'{name}.pth': _DRIVE.format(drive_id)}, config, variant)
    for name, drive_id, config, variant in (
        ('nanodet-m-320', '1ZkYucuLusJrCb_i63Lid0kYyyLvEiGN3', 'nanodet_m_snv2', _M),
        ('nanodet-m-416', '1jY-Um2VDDEhuVhluP9lE70rG83eXQYhV', 'nanodet_m_snv2_416', _M),
        ('nanodet-m-0.5x-320', '1rMHkD30jacjRpslmQja5jls86xd0YssR', 'nanodet_m_snv2_0.5x', _M_05),
        ('nanodet-m-1.5x-320', '1_n1cAWy622LV8wbUnXImtcvcUVPOhYrW', 'nanodet_m_snv2_1.5x', _M_15),
        ('nanodet-m-1.5x-416', '1CCYgwX3LWfN7hukcomhEhGWN-qcC3Tv4', 'nanodet_m_snv2_1.5x_416', _M_15),
        ('nanodet-plus-m-320', '1Dq0cTIdJDUhQxJe45z6rWncbZmOyh1Tv', 'nanodet_plus_m_snv2', _PLUS_M),
        ('nanodet-plus-m-416', '1FN3WK3FLjBm7oCqiwUcD3m3MjfqxuzXe', 'nanodet_plus_m_snv2_416', _PLUS_M),
        ('nanodet-plus-m-1.5x-320', '1Xdlgu5lxiS3w6ER7GE1mZpY663wmpcyY', 'nanodet_plus_m_snv2_1.5x', _PLUS_M_15),
        ('nanodet-plus-m-1.5x-416', '16FJJJgUt5VrSKG7RM_ImdKKzhJ-Mu45I', 'nanodet_plus_m_snv2_1.5x_416', _PLUS_M_15),
    )
}
WEIGHTS['nanodet-plus-m-416'].files['nanodet-plus-m_416_checkpoint.ckpt'] = (
    'https://github.com/RangiLyu/nanodet/releases/download/v1.0.0-alpha-1/nanodet-plus-m_416_checkpoint.ckpt'
)
# torchvision's files, trained on ImageNet: their names contain the first digits of their SHA-256.
WEIGHTS |= {
    f'shufflenet-v2-{width}x': Weights(
        {file: f'https://download.pytorch.org/models/{file}'}, f'imagenet/shufflenet_v2_torchvision_{width}x'
    )
    for width, file in (
        ('0.5', 'shufflenetv2_x0.5-f707e7126e.pth'),
        ('1.0', 'shufflenetv2_x1-5666bf0f80.pth'),
        ('1.5', 'shufflenetv2_x1_5-3c479a10.pth'),
        ('2.0', 'shufflenetv2_x2_0-8be3c8ee.pth'),
    )
}
# Few, so that a missing network is reported at once and not after a minute.
_ATTEMPTS = 3


def is_named(name: str | os.PathLike[str]) -> bool:
    """Whether this is the name of published weights, and not of an existing file."""
    return os.fspath(name) in WEIGHTS and not os.path.isfile(name)


def near_weights(name: str | os.PathLike[str]) -> list[str]:
    """Names of published weights that are similar to this one."""
    return difflib.get_close_matches(os.fspath(name), WEIGHTS, n=3)


def named_weights(name: str | os.PathLike[str]) -> str:
    """The file of published weights in the cache, downloaded if necessary.

    Args:
        name: A key of :data:`WEIGHTS`. Anything else, such as a path or an address, is returned unchanged.

    Raises:
        DownloadError: If they are not in the cache and cannot be downloaded.
        UserError: If there is no such file, and the name is similar to that of published weights.
    """
    if is_named(name):
        path = fetch_weights(os.fspath(name))
        print_log(f'Weights {name}: {path}', 'current')
        return str(path)
    name = os.fspath(name)
    if ':' not in name and not os.path.exists(name) and (near := near_weights(name)):
        raise UserError(f'Checkpoint not found: {name}. Did you mean: {", ".join(near)}?')
    return name


def fetch_weights(name: str, source: str | os.PathLike[str] | None = None) -> Path:
    """Download published weights into the cache, unless they are there.

    Args:
        name: A key of :data:`WEIGHTS`.
        source: Local file with these weights, which replaces the one in the cache.

    Returns:
        The file in the cache.

    Raises:
        DownloadError: If they cannot be downloaded.
        UserError: If the name is unknown, or ``source`` is missing or contains other weights.
    """
    if name not in WEIGHTS:
        near = near_weights(name)
        raise UserError(
            f'Unknown weights: {name}. '
            + (f'Did you mean: {", ".join(near)}?' if near else f'Available: {", ".join(WEIGHTS)}.')
        )
    folder, files = Path(torch.hub.get_dir(), 'checkpoints'), WEIGHTS[name].files
    if source is not None:
        _check(name, source)
        folder.mkdir(parents=True, exist_ok=True)
        with unfinished_file(folder / next(iter(files))) as unfinished:
            shutil.copyfile(source, unfinished)
    faults = []
    for file in files:
        if (folder / file).is_file():
            return folder / file
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / '.download.lock'):  # against other ranks of a distributed training
        for file, url in files.items():
            try:  # another process may have downloaded it meanwhile
                return (
                    folder / file
                    if (folder / file).is_file()
                    else download(url, folder / file, check=partial(_check, name), attempts=_ATTEMPTS)
                )
            except UserError as error:
                faults.append(str(error))
    failed = DownloadError(
        f'{name} is not in {folder} and cannot be downloaded: {" ".join(faults)}\nTry again: snv2 '
        f'download {name}. Or download it elsewhere and add the file: snv2 download {name} '
        f'--from FILE'
    )
    failed.filename = name
    raise failed


def _check(name: str, file: str | os.PathLike[str]) -> None:
    """Raise a :class:`UserError` if a file does not contain the published weights of that name."""
    weights = WEIGHTS[name]
    try:
        loaded = load(file, 'cpu')
    except FileNotFoundError as error:
        raise UserError(f'File not found: {file}.') from error
    if published := re.search(r'-([0-9a-f]{8,})\.pth$', next(iter(weights.files))):
        found = hashlib.sha256(Path(file).read_bytes()).hexdigest()
        if not found.startswith(published[1]):
            raise UserError(f'{file} is not {name}: its SHA-256 starts with {found[:10]}, expected {published[1]}.')
    variant = variant_of(find_weights(loaded)) if isinstance(loaded, dict) else None
    if variant != weights.variant:
        raise UserError(f'{file} is not {name}: expected {weights.variant}, got {variant or "no NanoDet weights"}.')
