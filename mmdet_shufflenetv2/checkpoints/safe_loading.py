"""Reading a checkpoint as data: nothing that it names is called, whatever it names (:mod:`.unpickler`)."""

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


def load(file: str | os.PathLike | Any, map_location: Any = None) -> Any:
    """``torch.load`` that reads data alone, MMEngine's and other trainers' included.

    What the file has of unknown types beside its weights, such as a trainer's callbacks, stays an inert
    :class:`.Record`.

    Args:
        file: A path or a binary file object.
        map_location: As in ``torch.load``.

    Raises:
        UnsafeCheckpointError: If a type that is not data is in the weights, or in what training resumes from.
        UserError: If the file is no PyTorch checkpoint.
        FileNotFoundError: If there is no such file.
    """
    return load_with(torch.load, torch.serialization.get_safe_globals(), file, map_location)


def load_with(torch_load: Callable[..., Any], allowed: Iterable[Any], file: Any, map_location: Any) -> Any:
    """:func:`load` with a given ``torch.load`` and the types that the user has allowed."""
    name = str(file)
    if os.environ.get('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '0').lower() in ('1', 'y', 'yes', 'true'):
        raise UserError('TORCH_FORCE_WEIGHTS_ONLY_LOAD is set, which keeps PyTorch from reading MMEngine\'s '
                        'checkpoints. Unset it: checkpoints are read as data only in any case.')
    paths = {entry[1] if isinstance(entry, tuple) else f'{entry.__module__}.{entry.__qualname__}':
             entry[0] if isinstance(entry, tuple) else entry for entry in allowed}
    try:
        # Opened once: what is checked is what is read, even if another file takes the name meanwhile.
        with nullcontext(file) if hasattr(file, 'read') else open(file, 'rb') as opened:
            sizes = _checked_sizes(opened, name)
            unpickler = data_unpickler({path: entry for path, entry in paths.items() if path not in KNOWN}, *sizes)
            # Every name of the file goes through this unpickler, which is stricter than PyTorch's restricted one. What
            # PyTorch reads by other means, such as TorchScript, is refused above.
            checkpoint = torch_load(opened, map_location=map_location, pickle_module=unpickler)
    except (FileNotFoundError, UserError):
        raise
    except RecursionError as error:
        raise UnsafeCheckpointError(f'{name} is refused: it is nested too deeply.') from error
    except (pickle.UnpicklingError, EOFError, RuntimeError, LookupError, TypeError, ValueError, AttributeError,
            AssertionError, MemoryError, OverflowError, OSError) as error:
        # A damaged or foreign file can fail in any of these ways inside torch.load.
        # Python's unpickler looks the first byte up among its instructions.
        reason = 'it is not a pickle' if isinstance(error, KeyError) else str(error)
        raise _no_checkpoint(name, reason) from error
    try:
        return revive_checkpoint(checkpoint)
    except UnsafeCheckpointError as error:
        raise UnsafeCheckpointError(
            f'{name} is refused: {error}. Nothing of it was run. If the file is your own, save its weights alone: '
            f'torch.save(model.state_dict(), PATH).') from error
    except RecursionError as error:
        raise UnsafeCheckpointError(f'{name} is refused: it is nested too deeply.') from error


def _checked_sizes(opened: Any, name: str) -> tuple[dict[str, int] | None, int]:
    """Bytes of the file's storages by their keys, None for the older format, and of the file.

    Refused are archives that unfold into more than themselves (PyTorch never compresses, and stores nothing twice) and
    those that PyTorch reads without the unpickler: TorchScript, and the tar files of its first releases.
    """
    if name.endswith('.safetensors'):
        raise _no_checkpoint(name, 'it is a safetensors file')
    start = opened.tell()
    size = opened.seek(0, os.SEEK_END)
    opened.seek(start)
    try:
        if opened.read(4) == b'PK\x03\x04':
            opened.seek(start)
            return _archive_sizes(opened, name), size
        opened.seek(start)
        with tarfile.open(fileobj=opened, mode='r:'):
            raise _no_checkpoint(name, 'it is a tar file')
    except tarfile.TarError:
        return None, size
    finally:
        opened.seek(start)


def _archive_sizes(opened: Any, name: str) -> dict[str, int]:
    try:
        with zipfile.ZipFile(opened) as archive:
            entries, end = archive.infolist(), archive.start_dir
        opened.seek(0)
        # As torch.load itself finds out what it is going to read.
        records = torch._C.PyTorchFileReader(opened).get_all_records()
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise _no_checkpoint(name, str(error)) from error
    if 'constants.pkl' in records:
        raise UnsafeCheckpointError(f'{name} is refused: it is a TorchScript program and not weights.')
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or (
            sum(entry.file_size for entry in entries) > end):
        raise UnsafeCheckpointError(f'{name} is refused: it is an archive that unfolds into more than its size, which '
                                    f'no checkpoint of PyTorch is.')
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise UnsafeCheckpointError(f'{name} is refused: it has two entries of one name.')
    # ARCHIVE/data/KEY
    return {entry.filename.split('/', 2)[2]: entry.file_size for entry in entries
            if entry.filename.partition('/')[2].startswith('data/')}


def _no_checkpoint(name: str, message: str) -> UserError:
    lines = [line.strip() for line in re.sub(r'\x1b\[\d+m', '', message).splitlines() if line.strip()]
    reason = lines[0] if lines else 'it ends too early'
    return UserError(f'{name} is no PyTorch checkpoint, or a damaged one ({reason}). Expected a file that torch.save '
                     f'wrote, such as work_dirs/NAME/epoch_12.pth.')
