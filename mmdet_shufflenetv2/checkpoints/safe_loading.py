"""Reading checkpoints as data: no function that a file refers to is called (:mod:`.unpickler`)."""

from __future__ import annotations

import os
import pickle
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

import torch

from ..utils.errors import UserError
from .records import KNOWN, UnsafeCheckpointError, revive_checkpoint
from .unpickler import data_unpickler

__all__ = ['UnsafeCheckpointError', 'load', 'load_with']


def load(file: str | os.PathLike[str] | Any, map_location: Any = None) -> Any:
    """``torch.load`` that reads only data, also from checkpoints of MMEngine and other trainers.

    Objects of unknown types outside of the weights, such as a trainer's callbacks, become inert :class:`.Record`
    objects.

    Args:
        file: A path or a binary file object.
        map_location: As in ``torch.load``.

    Raises:
        UnsafeCheckpointError: If the weights, or an entry that training resumes from, contain a type that is not data.
        UserError: If the file is not a valid PyTorch checkpoint.
        FileNotFoundError: If the file does not exist.
    """
    return load_with(torch.load, torch.serialization.get_safe_globals(), file, map_location)


def load_with(torch_load: Callable[..., Any], allowed: Iterable[Any], file: Any, map_location: Any) -> Any:
    """:func:`load` with a given ``torch.load`` function and the types that the user has allowed."""
    name = str(file)
    if os.environ.get('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '0').lower() in ('1', 'y', 'yes', 'true'):
        raise UserError(
            'TORCH_FORCE_WEIGHTS_ONLY_LOAD is set, which prevents PyTorch from reading '
            "MMEngine's checkpoints. Unset it: checkpoints are always read as data only."
        )
    paths = {
        entry[1] if isinstance(entry, tuple) else f'{entry.__module__}.{entry.__qualname__}': entry[0]
        if isinstance(entry, tuple)
        else entry
        for entry in allowed
    }
    try:
        # Opened once, so that the checked file is the one that is read even if it is replaced meanwhile.
        with nullcontext(file) if hasattr(file, 'read') else open(file, 'rb') as opened:
            sizes = _checked_sizes(opened, name)
            unpickler = data_unpickler({path: entry for path, entry in paths.items() if path not in KNOWN}, *sizes)
            # Every name in the file goes through this unpickler, which is stricter than PyTorch's restricted one.
            # Formats that PyTorch reads without it, such as TorchScript, are rejected above.
            checkpoint = torch_load(opened, map_location=map_location, pickle_module=unpickler)
    except (FileNotFoundError, UserError):
        raise
    except RecursionError as error:
        raise UnsafeCheckpointError(f'{name} was not loaded: it is nested too deeply.') from error
    except (
        pickle.UnpicklingError,
        EOFError,
        RuntimeError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        AssertionError,
        MemoryError,
        OverflowError,
        OSError,
    ) as error:
        # A corrupt file or one of another format can raise any of these inside torch.load.
        # KeyError: the first byte is not a pickle instruction.
        reason = 'it is not a pickle' if isinstance(error, KeyError) else str(error)
        raise _invalid_checkpoint(name, reason) from error
    try:
        return revive_checkpoint(checkpoint)
    except UnsafeCheckpointError as error:
        raise UnsafeCheckpointError(
            f'{name} was not loaded: {error}. No code was executed. If you trust the file, save only its weights where '
            f'it was made: torch.save(model.state_dict(), PATH).'
        ) from error
    except RecursionError as error:
        raise UnsafeCheckpointError(f'{name} was not loaded: it is nested too deeply.') from error


def _checked_sizes(opened: Any, name: str) -> tuple[dict[str, int] | None, int]:
    """Bytes of each storage in the file by its key (None for the format before PyTorch 1.6), and bytes of the file.

    Rejects archives that are larger when unpacked (PyTorch never compresses or stores anything twice), and formats that
    PyTorch reads without the unpickler: TorchScript, and the tar files of its first releases.
    """
    if name.endswith('.safetensors'):
        raise _invalid_checkpoint(name, 'it is a safetensors file')
    start = opened.tell()
    size = opened.seek(0, os.SEEK_END)
    opened.seek(start)
    try:
        if opened.read(4) == b'PK\x03\x04':
            opened.seek(start)
            return _archive_sizes(opened, name), size
        opened.seek(start)
        with tarfile.open(fileobj=opened, mode='r:'):
            raise _invalid_checkpoint(name, 'it is a tar file')
    except tarfile.TarError:
        return None, size
    finally:
        opened.seek(start)


def _archive_sizes(opened: Any, name: str) -> dict[str, int]:
    try:
        with zipfile.ZipFile(opened) as archive:
            entries, end = archive.infolist(), archive.start_dir
        opened.seek(0)
        # torch.load uses the same reader.
        records = torch._C.PyTorchFileReader(opened).get_all_records()
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise _invalid_checkpoint(name, str(error)) from error
    if 'constants.pkl' in records:
        raise UnsafeCheckpointError(f'{name} was not loaded: it is a TorchScript program. Expected weights.')
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or (
        sum(entry.file_size for entry in entries) > end
    ):
        raise UnsafeCheckpointError(
            f'{name} was not loaded: it is a compressed archive, and unpacks to more than its '
            f'size. PyTorch does not write such checkpoints.'
        )
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise UnsafeCheckpointError(f'{name} was not loaded: it has several entries of the same name.')
    # ARCHIVE/data/KEY
    return {
        entry.filename.split('/', 2)[2]: entry.file_size
        for entry in entries
        if entry.filename.partition('/')[2].startswith('data/')
    }


def _invalid_checkpoint(name: str, message: str) -> UserError:
    lines = [line.strip() for line in re.sub(r'\x1b\[\d+m', '', message).splitlines() if line.strip()]
    reason = lines[0] if lines else 'it is truncated'
    return UserError(
        f'{name} is not a valid PyTorch checkpoint ({reason}). Expected a file written by torch.save, '
        f'such as work_dirs/NAME/epoch_12.pth.'
    )
