"""Published weights by name: where they are, how they are fetched, and where they are kept.

They lie where PyTorch keeps what it downloads, ``torch.hub.get_dir()/checkpoints``; ``TORCH_HOME`` moves it.
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
    """What is published under a name."""

    #: Addresses by the file's name in the cache, in the order in which they are tried.
    files: dict[str, str]
    #: The config that they are for.
    config: str
    #: Which NanoDet they are of; None for a classifier.
    variant: Variant | None = None


_DRIVE = 'https://drive.usercontent.google.com/download?id={}&export=download&confirm=t'
_STAGES = {0.5: (48, 96, 192), 1.0: (116, 232, 464), 1.5: (176, 352, 704)}
_M, _M_05, _M_15 = (Variant(plus=False, stages=_STAGES[width], levels=3, classes=80) for width in (1.0, 0.5, 1.5))
_PLUS_M, _PLUS_M_15 = (Variant(plus=True, stages=_STAGES[width], levels=4, classes=80) for width in (1.0, 1.5))
# https://github.com/RangiLyu/nanodet#model-zoo; no checksums are published.
WEIGHTS = {name: Weights({f'{name}.pth': _DRIVE.format(drive_id)}, config, variant)
           for name, drive_id, config, variant in (
    ('nanodet-m-320', '1ZkYucuLusJrCb_i63Lid0kYyyLvEiGN3', 'nanodet_m_snv2', _M),
    ('nanodet-m-416', '1jY-Um2VDDEhuVhluP9lE70rG83eXQYhV', 'nanodet_m_snv2_416', _M),
    ('nanodet-m-0.5x-320', '1rMHkD30jacjRpslmQja5jls86xd0YssR', 'nanodet_m_snv2_0.5x', _M_05),
    ('nanodet-m-1.5x-320', '1_n1cAWy622LV8wbUnXImtcvcUVPOhYrW', 'nanodet_m_snv2_1.5x', _M_15),
    ('nanodet-m-1.5x-416', '1CCYgwX3LWfN7hukcomhEhGWN-qcC3Tv4', 'nanodet_m_snv2_1.5x_416', _M_15),
    ('nanodet-plus-m-320', '1Dq0cTIdJDUhQxJe45z6rWncbZmOyh1Tv', 'nanodet_plus_m_snv2', _PLUS_M),
    ('nanodet-plus-m-416', '1FN3WK3FLjBm7oCqiwUcD3m3MjfqxuzXe', 'nanodet_plus_m_snv2_416', _PLUS_M),
    ('nanodet-plus-m-1.5x-320', '1Xdlgu5lxiS3w6ER7GE1mZpY663wmpcyY', 'nanodet_plus_m_snv2_1.5x', _PLUS_M_15),
    ('nanodet-plus-m-1.5x-416', '16FJJJgUt5VrSKG7RM_ImdKKzhJ-Mu45I', 'nanodet_plus_m_snv2_1.5x_416', _PLUS_M_15))}
WEIGHTS['nanodet-plus-m-416'].files['nanodet-plus-m_416_checkpoint.ckpt'] = (
    'https://github.com/RangiLyu/nanodet/releases/download/v1.0.0-alpha-1/nanodet-plus-m_416_checkpoint.ckpt')
# torchvision's files, on ImageNet: their names carry the first digits of their SHA-256.
WEIGHTS |= {f'shufflenet-v2-{width}x': Weights({file: f'https://download.pytorch.org/models/{file}'},
                                               f'imagenet/shufflenet_v2_torchvision_{width}x')
            for width, file in (('0.5', 'shufflenetv2_x0.5-f707e7126e.pth'), ('1.0', 'shufflenetv2_x1-5666bf0f80.pth'),
                                ('1.5', 'shufflenetv2_x1_5-3c479a10.pth'), ('2.0', 'shufflenetv2_x2_0-8be3c8ee.pth'))}
# No network is said at once, not after a minute.
_ATTEMPTS = 3


def is_named(name: str | os.PathLike) -> bool:
    """Whether weights are called so, and no file here is."""
    return os.fspath(name) in WEIGHTS and not os.path.isfile(name)


def near_weights(name: str | os.PathLike) -> list[str]:
    """Names of weights that are nearly this one."""
    return difflib.get_close_matches(os.fspath(name), WEIGHTS, n=3)


def named_weights(name: str | os.PathLike) -> str:
    """Where weights lie that are called by a name; they are downloaded where the cache has none.

    Args:
        name: A name of :data:`WEIGHTS`. All else, such as a file's path or an address, is returned as it is.

    Raises:
        DownloadError: If they are neither in the cache nor to be had.
        UserError: If there is neither a file nor weights of that name, but weights of nearly that name.
    """
    if is_named(name):
        path = fetch_weights(os.fspath(name))
        print_log(f'Weights {name}: {path}', 'current')
        return str(path)
    name = os.fspath(name)
    if ':' not in name and not os.path.exists(name) and (near := near_weights(name)):
        raise UserError(f'There is no checkpoint {name}. Weights of nearly that name: {", ".join(near)}.')
    return name


def fetch_weights(name: str, source: str | os.PathLike | None = None) -> Path:
    """Put published weights into the cache, unless they are there.

    Args:
        name: A name of :data:`WEIGHTS`.
        source: A file of them that is here already; it takes the place of what is in the cache.

    Returns:
        The file in the cache.

    Raises:
        DownloadError: If they cannot be downloaded.
        UserError: If there are none of that name, or if ``source`` is missing or not these weights.
    """
    if name not in WEIGHTS:
        near = near_weights(name)
        raise UserError(f'There are no weights named {name}. {"Near it" if near else "Known"}: '
                        f'{", ".join(near or WEIGHTS)}.')
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
    with locked(folder / '.download.lock'):  # such as against another rank of a training
        for file, url in files.items():
            try:  # unless another process has just fetched it
                return folder / file if (folder / file).is_file() else download(
                    url, folder / file, check=partial(_check, name), attempts=_ATTEMPTS)
            except UserError as error:
                faults.append(str(error))
    failed = DownloadError(f'{name} is not in {folder} and cannot be downloaded: {" ".join(faults)}\nTry again: snv2 '
                           f'download {name}. Or fetch it where there is a network: snv2 download {name} --from FILE')
    failed.filename = name
    raise failed


def _check(name: str, file: str | os.PathLike) -> None:
    """Raise a :class:`UserError` for a file that is not the weights of that name."""
    weights = WEIGHTS[name]
    try:
        loaded = load(file, 'cpu')
    except FileNotFoundError as error:
        raise UserError(f'There is no file {file}.') from error
    if published := re.search(r'-([0-9a-f]{8,})\.pth$', next(iter(weights.files))):
        found = hashlib.sha256(Path(file).read_bytes()).hexdigest()
        if not found.startswith(published[1]):
            raise UserError(f'{file} is not {name}: its SHA-256 begins with {found[:10]}, published is {published[1]}.')
    variant = variant_of(find_weights(loaded)) if isinstance(loaded, dict) else None
    if variant != weights.variant:
        raise UserError(f'{file} is not {name}, {weights.variant}: it holds {variant or "no weights of NanoDet"}.')
