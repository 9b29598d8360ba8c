"""Routing all of MMEngine's checkpoint loaders through :func:`.safe_loading.load`.

The loaders call ``torch.load`` with different settings: torch.hub without the restricted unpickler, as is the default
of PyTorch before 2.6, and the fork of MMEngine first with its own allowlist that contains ``getattr``, then without any
check. Therefore ``torch.load`` is replaced once by a function that checks whether such a loader is running in the
current thread. All other calls are forwarded to PyTorch unchanged.
"""

from __future__ import annotations

import copyreg
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from ..compat import patches
from ..compat.private import checkpoint_loaders
from ..utils.errors import UserError
from .download import NETWORK_ERRORS, check_address, download_error
from .named import named_weights
from .records import reduce_history
from .safe_loading import load_with
from .unwrap import find_weights

__all__ = ['install', 'mmengine_checkpoints_by_default']

# Types that the user has allowed, while a loader of MMEngine runs in this thread; None otherwise.
_LOADING: ContextVar[list[Any] | None] = ContextVar('loading', default=None)
# Whether torch.load(FILE) is safe loading in the whole process, as in `snv2 run`.
_BY_DEFAULT = [False]


def install() -> None:
    """Make all loaders of MMEngine safe, and its logs picklable without code. Calling it again has no effect."""
    if not hasattr(torch.load, 'checkpoints_guard'):
        patches.replace('torch.load', torch, _guarded_torch_load(torch.load))
    for prefix, loader in checkpoint_loaders().items():
        if not hasattr(loader, '__wrapped__'):
            patches.install(
                'CheckpointLoader:schemes', CheckpointLoader.register_scheme, prefix, _guarded(loader), force=True
            )
    patches.install('copyreg:HistoryBuffer', copyreg.pickle, HistoryBuffer, reduce_history)


def _guarded_torch_load(torch_load: Callable[..., Any]) -> Callable[..., Any]:

    @functools.wraps(torch_load)
    def load(f: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> Any:
        if (allowed := _LOADING.get()) is not None:
            return load_with(torch_load, allowed, f, map_location)
        # load_with calls this function again, with a pickle_module.
        if _BY_DEFAULT[0] and not args and not kwargs.keys() - {'mmap'}:
            return load_with(torch_load, torch.serialization.get_safe_globals(), f, map_location)
        return torch_load(f, map_location, *args, **kwargs)

    load.checkpoints_guard = True  # type: ignore[attr-defined]  # marks the function as installed
    return load


@contextmanager
def mmengine_checkpoints_by_default() -> Iterator[None]:
    """Make ``torch.load(FILE)`` safe in all threads. Calls with other arguments are forwarded to PyTorch."""
    before, _BY_DEFAULT[0] = _BY_DEFAULT[0], True
    try:
        yield
    finally:
        _BY_DEFAULT[0] = before


def _guarded(loader: Callable[..., Any]) -> Callable[..., Any]:

    @functools.wraps(loader)  # keeps the loader's name, which MMEngine logs
    def safe_loader(filename: str, map_location: Any = None, **kwargs: Any) -> Any:
        filename = named_weights(filename)
        check_address(filename)
        token = _LOADING.set(torch.serialization.get_safe_globals())
        try:
            checkpoint = loader(filename, map_location, **kwargs)
        except NETWORK_ERRORS as error:
            raise download_error(filename, error) from error
        except FileNotFoundError as error:
            raise UserError(f'Checkpoint not found: {filename}.') from error
        finally:
            _LOADING.reset(token)
        return _for_mmengine(checkpoint)

    return safe_loader


def _for_mmengine(checkpoint: Any) -> Any:
    """The checkpoint as MMEngine expects it: weights in ``state_dict``, and no config that MMEngine would execute.

    Releases before 1.0 stored that config as ``config``; current ones store ``cfg``.
    """
    if isinstance(checkpoint, dict):
        if isinstance(checkpoint.get('meta'), dict):
            checkpoint['meta'].pop('config', None)
        if (weights := find_weights(checkpoint)) is not checkpoint:
            checkpoint['state_dict'] = weights
    return checkpoint
