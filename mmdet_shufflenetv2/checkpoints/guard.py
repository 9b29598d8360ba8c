"""Every way in which MMEngine reads a checkpoint goes through :func:`.safe_loading.load`.

Its loaders call ``torch.load`` by themselves and with other settings: torch.hub without the safe unpickler, PyTorch
before 2.6 by default, and the fork of MMEngine first with a list of its own that allows ``getattr``, then without any
check. So ``torch.load`` is replaced once, for good, by a function that asks whether such a loader is at work in its
thread; otherwise it calls PyTorch's as it was asked to.
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

# What the user had allowed when a loader of MMEngine began; None outside of one. Each thread has its own.
_LOADING: ContextVar[list[Any] | None] = ContextVar('loading', default=None)
# Whether torch.load(FILE) is ours for the whole process, as `snv2 run` has it.
_BY_DEFAULT = [False]


def install() -> None:
    """Make every loader of MMEngine safe, and its logs writable without code. Calling it again changes nothing."""
    if not hasattr(torch.load, 'checkpoints_guard'):
        patches.replace('torch.load', torch, _guarded_torch_load(torch.load))
    for prefix, loader in checkpoint_loaders().items():
        if not hasattr(loader, '__wrapped__'):
            patches.install('CheckpointLoader:schemes', CheckpointLoader.register_scheme, prefix, _guarded(loader),
                            force=True)
    patches.install('copyreg:HistoryBuffer', copyreg.pickle, HistoryBuffer, reduce_history)


def _guarded_torch_load(torch_load: Callable[..., Any]) -> Callable[..., Any]:

    @functools.wraps(torch_load)
    def load(f: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> Any:
        if (allowed := _LOADING.get()) is not None:
            return load_with(torch_load, allowed, f, map_location)
        # What data_unpickler reads comes here again, with a pickle_module.
        if _BY_DEFAULT[0] and not args and not kwargs.keys() - {'mmap'}:
            return load_with(torch_load, torch.serialization.get_safe_globals(), f, map_location)
        return torch_load(f, map_location, *args, **kwargs)

    load.checkpoints_guard = True
    return load


@contextmanager
def mmengine_checkpoints_by_default() -> Iterator[None]:
    """Within it, ``torch.load(FILE)`` is :func:`.load` in all threads. A call with other arguments is left alone."""
    before, _BY_DEFAULT[0] = _BY_DEFAULT[0], True
    try:
        yield
    finally:
        _BY_DEFAULT[0] = before


def _guarded(loader: Callable[..., Any]) -> Callable[..., Any]:

    @functools.wraps(loader)  # MMEngine logs the loader's name
    def safe_loader(filename: str, map_location: Any = None, **kwargs: Any) -> Any:
        filename = named_weights(filename)
        check_address(filename)
        token = _LOADING.set(torch.serialization.get_safe_globals())
        try:
            checkpoint = loader(filename, map_location, **kwargs)
        except NETWORK_ERRORS as error:
            raise download_error(filename, error) from error
        except FileNotFoundError as error:
            raise UserError(f'There is no checkpoint {filename}.') from error
        finally:
            _LOADING.reset(token)
        return _for_mmengine(checkpoint)

    return safe_loader


def _for_mmengine(checkpoint: Any) -> Any:
    """A checkpoint as MMEngine takes it: its weights as ``state_dict``, and no config that would be run.

    The latter, ``config``, is of a release before 1.0; today's is ``cfg``.
    """
    if isinstance(checkpoint, dict):
        if isinstance(checkpoint.get('meta'), dict):
            checkpoint['meta'].pop('config', None)
        if (weights := find_weights(checkpoint)) is not checkpoint:
            checkpoint['state_dict'] = weights
    return checkpoint
