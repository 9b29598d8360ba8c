"""Checkpoints that carry data and never code.

A PyTorch checkpoint is a pickle, and a pickle may name any function to be called while it is loaded. PyTorch's safe
unpickler (``weights_only=True``) refuses all names but tensors and a few containers. MMEngine's checkpoints hold more:
NumPy arrays and scalars, and the log as ``HistoryBuffer`` objects, in whose pickle stands ``builtins.getattr`` (they
store their methods). Allowing these names would call NumPy's reconstruction functions with a stranger's arguments, and
``getattr`` would lead to everything else.

So nothing of the kind is called. While a checkpoint is read, each of these names stands for an inert record that only
keeps what it was given; afterwards :func:`_revive` turns the records that make sense into arrays, numbers and logs,
and refuses the rest. Any other name ends the loading with :class:`UnsafeCheckpointError`.

Our own checkpoints are written without ``getattr``: a ``HistoryBuffer`` is stored as two tensors.
"""

from __future__ import annotations

import copyreg
import difflib
import functools
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import URLError

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader, get_torchvision_models

from ..utils.errors import UserError

__all__ = ['DownloadError', 'UnsafeCheckpointError', 'install', 'load', 'mmengine_checkpoints_by_default']


class DownloadError(UserError):
    """A checkpoint cannot be downloaded; ``filename`` is what was asked for, where it is known."""

    filename = ''


class UnsafeCheckpointError(UserError):
    """The checkpoint names a type or function that a checkpoint has no need of."""


class _Record:
    """Stands for a name in the pickle: keeps what it was called with and does nothing."""

    path: str
    state: Any = None

    def __new__(cls, *args: Any) -> _Record:
        record = super().__new__(cls)
        record.args = args
        return record

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _record_type(path: str) -> type[_Record]:
    # PyTorch keys its allow-list by __module__ and __qualname__ (2.4: __name__), so the record's class bears the name
    # that it stands for. The (object, name) form of newer releases is not needed.
    module, name = path.rsplit('.', 1)
    return type(name, (_Record, ), {'__module__': module, '__qualname__': name, 'path': path})


_GETATTR = _record_type('builtins.getattr')
_DTYPE = _record_type('numpy.dtype')
_NDARRAY = _record_type('numpy.ndarray')
_HISTORY = _record_type('mmengine.logging.history_buffer.HistoryBuffer')
# NumPy 2 moved numpy.core to numpy._core; files of both exist.
_RECONSTRUCT = tuple(_record_type(f'numpy.{core}.multiarray._reconstruct') for core in ('core', '_core'))
_SCALAR = tuple(_record_type(f'numpy.{core}.multiarray.scalar') for core in ('core', '_core'))
# PyTorch's own unpickler takes these two from 2.5 on.
_ENCODE = _record_type('_codecs.encode')
_SET = _record_type('builtins.set')
_RECORD_TYPES = (_GETATTR, _DTYPE, _NDARRAY, _HISTORY, _ENCODE, _SET, *_RECONSTRUCT, *_SCALAR)


def load(file: str | os.PathLike | Any, map_location: Any = None) -> Any:
    """``torch.load`` with the safe unpickler that also reads MMEngine's checkpoints.

    Args:
        file: A path or a binary file object.
        map_location: As in ``torch.load``.

    Raises:
        UnsafeCheckpointError: If the file names a type that is not data; nothing of it was run.
        UserError: If the file is no PyTorch checkpoint.
        FileNotFoundError: If there is no such file.
    """
    return _load_data(torch.load, torch.serialization.get_safe_globals(), file, map_location)


def install() -> None:
    """Make every loader of MMEngine safe, and its logs writable without code. Calling it again changes nothing."""
    for prefix, loader in list(CheckpointLoader._schemes.items()):
        if not hasattr(loader, '__wrapped__'):
            CheckpointLoader.register_scheme(prefix, _guarded(loader), force=True)
    copyreg.pickle(HistoryBuffer, _reduce_history)


@contextmanager
def mmengine_checkpoints_by_default() -> Iterator[None]:
    """Within it, ``torch.load(FILE)`` is :func:`load`. A call that says ``weights_only`` itself is left alone."""
    torch_load = torch.load

    def load_by_default(f: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> Any:
        if args or kwargs.keys() - {'mmap'}:
            return torch_load(f, map_location, *args, **kwargs)
        return load(f, map_location)

    torch.load = load_by_default
    try:
        yield
    finally:
        torch.load = torch_load


def _guarded(loader: Callable[..., Any]) -> Callable[..., Any]:

    @functools.wraps(loader)  # MMEngine logs the loader's name
    def safe_loader(filename: str, map_location: Any = None, **kwargs: Any) -> Any:
        _check_name(filename)
        try:
            with _strict_torch_load():
                return _without_config(loader(filename, map_location, **kwargs))
        except _NETWORK_ERRORS as error:
            failed = DownloadError(_how_to_fetch(filename, error))
            failed.filename = filename
            raise failed from error
        except FileNotFoundError as error:
            raise UserError(f'There is no checkpoint {filename}.') from error

    return safe_loader


def _without_config(checkpoint: Any) -> Any:
    """Take out the one entry that MMEngine runs, when it resumes. It is of a release before 1.0; today's is `cfg`."""
    if isinstance(checkpoint, dict) and isinstance(checkpoint.get('meta'), dict):
        checkpoint['meta'].pop('config', None)
    return checkpoint


@contextmanager
def _strict_torch_load() -> Iterator[None]:
    """Within it, ``torch.load`` reads data only, whatever its caller asks for.

    Loaders call it by themselves, with other settings: torch.hub without the safe unpickler, PyTorch before 2.6 by
    default, and the fork of MMEngine first with a list of its own that allows ``getattr``, then without any check.
    """
    torch_load, allowed = torch.load, torch.serialization.get_safe_globals()

    def strict(file: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> Any:
        return _load_data(torch_load, allowed, file, map_location)

    torch.load = strict
    try:
        yield
    finally:
        torch.load = torch_load


def _load_data(torch_load: Callable[..., Any], allowed: list[Any], file: Any, map_location: Any) -> Any:
    """Load with the safe unpickler, allowing the names in ``allowed`` and reading those above as records."""
    name = str(file)
    _check_zip(file, name)
    ours = {record.path for record in _RECORD_TYPES}
    allowed_now = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(
        [entry for entry in allowed if _allowed_path(entry) not in ours] + list(_RECORD_TYPES))
    try:
        checkpoint = torch_load(file, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise _explained(name, str(error)) from error
    except FileNotFoundError:
        raise
    except (EOFError, RuntimeError, LookupError, TypeError, AttributeError, UnicodeDecodeError, OSError) as error:
        # A damaged or foreign file can fail in any of these ways inside torch.load.
        raise _no_checkpoint(name, str(error)) from error
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(allowed_now)
    return _revive_all(checkpoint, name)


_TORCHVISION = 'torchvision://'
_NETWORK_ERRORS = (URLError, TimeoutError, ConnectionError)


def _check_name(filename: str) -> None:
    if filename.startswith(_TORCHVISION):
        name, known = filename.removeprefix(_TORCHVISION), get_torchvision_models()
        if name not in known:
            near = difflib.get_close_matches(name, known, n=4) or sorted(k for k in known if 'shufflenet' in k)
            raise UserError(f'torchvision publishes no weights named {name!r}; near it: {", ".join(near)}.')


def _check_zip(file: Any, name: str) -> None:
    """Refuse an archive that unfolds into more than itself. PyTorch never compresses, and stores nothing twice."""
    place = file.tell() if hasattr(file, 'tell') else None
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
            end = archive.start_dir
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError):
        return  # the older format, or a file that PyTorch will have its say about
    finally:
        if place is not None:
            file.seek(place)
    if not stored or sum(entry.file_size for entry in entries) > end:
        raise UnsafeCheckpointError(f'{name} is refused: it is an archive that unfolds into more than its size, which '
                                    f'no checkpoint of PyTorch is.')


def _allowed_path(entry: Any) -> str:
    return entry[1] if isinstance(entry, tuple) else f'{entry.__module__}.{entry.__qualname__}'


def _explained(name: str, message: str) -> UserError:
    named = re.search(r'GLOBAL ([\w.]+)', message) or re.search(r'(?:function|but got) (\S.*)', message)
    if named is None:
        return _no_checkpoint(name, message)
    return _refused(name, named.group(1))


def _refused(name: str, path: str) -> UnsafeCheckpointError:
    return UnsafeCheckpointError(
        f'{name} is refused: it names {path}, which is no data and could run code while it is loaded. Nothing of it '
        f'was run. If the file is your own, save its weights alone: torch.save(model.state_dict(), PATH).')


def _no_checkpoint(name: str, message: str) -> UserError:
    # PyTorch's advice to load without weights_only is none of ours.
    reason_alone = message.rpartition('WeightsUnpickler error:')[2]
    lines = [line.strip() for line in reason_alone.splitlines() if line.strip() and 'weights_only' not in line]
    reason = lines[0] if lines else 'it ends too early'
    return UserError(f'{name} is no PyTorch checkpoint, or a damaged one ({reason}). Expected a file that torch.save '
                     f'wrote, such as work_dirs/NAME/epoch_12.pth.')


def _how_to_fetch(filename: str, error: Exception) -> str:
    url = _resolve_url(filename)
    cached = os.path.join(torch.hub.get_dir(), 'checkpoints', os.path.basename(url))
    reason = getattr(error, 'reason', error)
    return f'{filename} cannot be downloaded ({reason}). Fetch {url} where there is a network and put it at {cached}.'


def _resolve_url(filename: str) -> str:
    if filename.startswith(_TORCHVISION):
        return get_torchvision_models()[filename.removeprefix(_TORCHVISION)]
    return filename


# Records back to data ---------------------------------------------------------------------------------------------

#: kind and size of the NumPy types that a checkpoint may hold: bool, integers, floats, complex numbers.
_PLAIN_DTYPE = re.compile(r'(b1|[iu][1248]|f[248]|c8|c16)')
_STATISTICS = ('min', 'max', 'current', 'mean')


def _revive_all(checkpoint: Any, name: str) -> Any:
    try:
        return _revive(checkpoint, {})
    except UnsafeCheckpointError as error:
        raise UnsafeCheckpointError(f'{name} is refused: {error}') from error
    except RecursionError as error:
        raise UnsafeCheckpointError(f'{name} is refused: it is nested too deeply.') from error


def _revive(value: Any, done: dict[int, Any]) -> Any:
    """``value`` with every record in it replaced; dicts and lists are changed in place.

    Whatever stands in several places is looked at once: a few lines can nest tuples into more than there is time for.
    """
    if isinstance(value, _Record):
        if id(value) not in done:
            # What was revived is kept beside its result, or its id could be given to another object.
            done[id(value)] = (_revive_record(value), value)
        return done[id(value)][0]
    if isinstance(value, dict) and id(value) not in done:
        done[id(value)] = value
        for key, item in list(value.items()):
            if isinstance(key, _Record):
                raise _misplaced(key)
            value[key] = _revive(item, done)
    elif isinstance(value, list) and id(value) not in done:
        done[id(value)] = value
        value[:] = [_revive(item, done) for item in value]
    elif isinstance(value, set):
        for item in value:
            if isinstance(item, _Record):
                raise _misplaced(item)
    elif type(value) is tuple:
        if id(value) not in done:
            done[id(value)] = (tuple(_revive(item, done) for item in value), value)
        return done[id(value)][0]
    elif isinstance(value, type) and issubclass(value, _Record):
        raise UnsafeCheckpointError(f'it stores {value.path} itself, which is no data.')
    return value


def _revive_record(record: _Record) -> Any:
    try:
        if type(record) in _RECONSTRUCT:
            return _array(record)
        if type(record) in _SCALAR:
            dtype, data = record.args
            return np.frombuffer(_bytes(data), _dtype(dtype), count=1)[0]
        if type(record) is _HISTORY:
            return _history(record)
        if type(record) is _DTYPE:
            return _dtype(record)
        if type(record) is _ENCODE:
            return _bytes(record)
        if type(record) is _SET:
            return _revive(set(*record.args), {})
    except UserError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise UnsafeCheckpointError(f'its {record.path} is not what NumPy or MMEngine writes ({error}).') from error
    raise _misplaced(record)


def _misplaced(record: _Record) -> UnsafeCheckpointError:
    return UnsafeCheckpointError(f'it uses {record.path} in a place where no data needs it.')


def _dtype(record: _Record) -> np.dtype:
    code = record.args[0]
    order = record.state[1] if record.state is not None else '='
    if type(record) is not _DTYPE or not _PLAIN_DTYPE.fullmatch(code) or order not in '<>=|':
        raise UnsafeCheckpointError(f'it holds a NumPy array of type {code!r}; only booleans and numbers are read.')
    return np.dtype(code).newbyteorder(order)


def _bytes(data: Any) -> bytes:
    """Bytes as protocol 2 stores them: a string to be encoded, by a record where PyTorch has not done so already."""
    if type(data) is not _ENCODE:
        return data
    text, encoding = data.args
    if encoding != 'latin1':
        raise _misplaced(data)
    return text.encode('latin1')


def _array(record: _Record) -> np.ndarray:
    if record.args[0] is not _NDARRAY:
        raise _misplaced(record)
    _, shape, dtype, fortran_order, data = record.state
    flat = np.frombuffer(_bytes(data), _dtype(dtype))
    return flat.reshape(shape, order='F' if fortran_order else 'C').copy()


def _history(record: _Record) -> HistoryBuffer:
    if record.state is None:  # as _reduce_history wrote it
        values, counts, max_length = record.args
        return HistoryBuffer(values.numpy(), counts.numpy(), max_length)
    for method in record.state.get('statistics_methods', {}).values():
        if type(method) is not _GETATTR or method.args[0] is not _HISTORY or method.args[1] not in _STATISTICS:
            raise UnsafeCheckpointError('its log stores a method that MMEngine lacks.')
    return HistoryBuffer(
        _array(record.state['_log_history']), _array(record.state['_count_history']), record.state['max_length'])


def _reduce_history(history: HistoryBuffer) -> tuple:
    values, counts = (torch.from_numpy(np.array(data)) for data in history.data)
    return HistoryBuffer, (values, counts, history.max_length)
