"""Converting the unpickler's records to data: NumPy arrays and scalars, and MMEngine's logs.

MMEngine's checkpoints contain them. The pickle of a ``HistoryBuffer`` even refers to ``builtins.getattr``, since it
stores its methods. The functions that a file refers to are never called: each object is built here from the arguments
in the file.

An unknown record is an error in the weights and in the entries that training resumes from; elsewhere it stays a record.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from ..utils.errors import UserError
from .unpickler import Name, Record

__all__ = ['KNOWN', 'RESUMED', 'WEIGHTS', 'UnsafeCheckpointError', 'reduce_history', 'revive_checkpoint']


class UnsafeCheckpointError(UserError):
    """The checkpoint contains a type or function where only data are allowed."""


#: Entries of a checkpoint that may contain weights; the first one that exists is used.
WEIGHTS = ('state_dict', 'ema_state_dict', 'model_ema', 'ema', 'model_state_dict', 'model')
#: Entries that MMEngine resumes from.
RESUMED = ('optimizer', 'param_schedulers', 'message_hub', 'meta')

# NumPy 2 moved numpy.core to numpy._core; files of both exist.
_RECONSTRUCT = tuple(f'numpy.{core}.multiarray._reconstruct' for core in ('core', '_core'))
_SCALAR = tuple(f'numpy.{core}.multiarray.scalar' for core in ('core', '_core'))
_DTYPE, _NDARRAY, _ENCODE, _GETATTR = 'numpy.dtype', 'numpy.ndarray', '_codecs.encode', 'builtins.getattr'
_HISTORY = 'mmengine.logging.history_buffer.HistoryBuffer'
#: Names that are always read as records, even if the user allows them.
KNOWN = frozenset((*_RECONSTRUCT, *_SCALAR, _DTYPE, _NDARRAY, _ENCODE, _GETATTR, _HISTORY))

# Kind and size of the NumPy types that a checkpoint may contain: bool, integers, floats, complex numbers.
_PLAIN_DTYPE = re.compile(r'(b1|[iu][1248]|f[248]|c8|c16)')
# Limit of the bytes in NumPy arrays and logs; weights are tensors.
_MOST_COPIED = 2**30
_STATISTICS = ('min', 'max', 'current', 'mean')


def revive_checkpoint(checkpoint: Any) -> Any:
    """Replace the records of a checkpoint by data; dicts and lists are changed in place.

    Raises:
        UnsafeCheckpointError: If there is an unknown record in the weights or in an entry that training resumes from.
    """
    if not isinstance(checkpoint, dict) or not any(key in checkpoint for key in WEIGHTS):
        # A state dict, or a single object.
        if isinstance(checkpoint, (Name, Record)) and checkpoint.path not in KNOWN:
            raise _pickled_model('it', checkpoint)
        return _revive(checkpoint, {}, True)
    done: dict[Any, Any] = {}
    for key in (*WEIGHTS, *RESUMED):
        if key in checkpoint:
            value = checkpoint[key]
            if key in WEIGHTS and isinstance(value, (Name, Record)):
                raise _pickled_model(f'its {key!r}', value)
            try:
                checkpoint[key] = _revive(value, done, True)
            except UnsafeCheckpointError as error:
                raise UnsafeCheckpointError(f'{error} (in its {key!r})') from error
    return _revive(checkpoint, done, False)


def _pickled_model(owner: str, record: Name | Record) -> UnsafeCheckpointError:
    return UnsafeCheckpointError(
        f'{owner} is a pickled {record.path} object instead of weights, and loading it could execute code'
    )


def _revive(value: Any, done: dict[Any, Any], strict: bool) -> Any:
    """``value`` with the records in it replaced.

    Each object is processed once, even if it occurs several times: a few lines can nest tuples billions of times.
    """
    if type(value) is Name:
        if strict:
            raise _unsafe(value)
    elif type(value) in (Record, tuple):
        if id(value) not in done:
            # Keeps the original alive: otherwise another object could get the same id.
            result = (
                _revive_record(value, strict)
                if type(value) is Record
                else tuple(_revive(item, done, strict) for item in value)
            )
            done[id(value)] = (result, value)
            if isinstance(result, (np.ndarray, HistoryBuffer)):
                _count_copy(result, done)
        return done[id(value)][0]
    elif isinstance(value, dict) and id(value) not in done:
        done[id(value)] = value
        _check_plain(value, strict)
        for key, item in list(value.items()):
            value[key] = _revive(item, done, strict)
    elif isinstance(value, list) and id(value) not in done:
        done[id(value)] = value
        value[:] = [_revive(item, done, strict) for item in value]
    elif isinstance(value, (set, frozenset)):
        _check_plain(value, strict)
    return value


def _count_copy(result: np.ndarray | HistoryBuffer, done: dict[Any, Any]) -> None:
    """Limit the copies: each array is one, and a file can refer to the same bytes any number of times."""
    arrays = (result,) if isinstance(result, np.ndarray) else result.data
    done['copied'] = done.get('copied', 0) + sum(array.nbytes for array in arrays)
    if done['copied'] > _MOST_COPIED:
        raise UnsafeCheckpointError('it copies the same values too often')


def _check_plain(keys: Any, strict: bool) -> None:
    left = list(keys) if strict else []
    for key in left:
        if isinstance(key, (Name, Record)):
            raise _unsafe(key)
        left.extend(key if isinstance(key, tuple) else ())


def _unsafe(record: Name | Record) -> UnsafeCheckpointError:
    return UnsafeCheckpointError(f'it contains {record.path}, which could execute code')


def _revive_record(record: Record, strict: bool) -> Any:
    try:
        if record.path not in _BUILDERS:
            raise _unsafe(record)
        return _BUILDERS[record.path](record)
    except UnsafeCheckpointError:
        if strict:
            raise
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        if strict:
            raise UnsafeCheckpointError(f'its {record.path} was not written by NumPy or MMEngine ({error})') from error
    return record


def _dtype(record: Record) -> np.dtype:
    code = record.args[0]
    order = record.state[1] if record.state is not None else '='
    if record.path != _DTYPE or not _PLAIN_DTYPE.fullmatch(code) or order not in '<>=|':
        raise UnsafeCheckpointError(f'it contains a NumPy array of type {code!r}; expected booleans or numbers')
    return np.dtype(code).newbyteorder(order)


def _bytes(data: Any) -> bytes:
    """Decode bytes; pickle protocol 2 stores them as a string to be encoded."""
    if not isinstance(data, Record):
        return data
    text, encoding = data.args
    if data.path != _ENCODE or encoding != 'latin1':
        raise _unsafe(data)
    return text.encode('latin1')


def _scalar(record: Record) -> np.generic:
    dtype, data = record.args
    return np.frombuffer(_bytes(data), _dtype(dtype), count=1)[0]


def _array(record: Record) -> np.ndarray:
    if record.args[0].path != _NDARRAY:
        raise _unsafe(record)
    _, shape, dtype, fortran_order, data = record.state
    flat = np.frombuffer(_bytes(data), _dtype(dtype))
    return flat.reshape(shape, order='F' if fortran_order else 'C').copy()


def _history(record: Record) -> HistoryBuffer:
    if record.state is None:  # as reduce_history wrote it
        values, counts, max_length = record.args
        return HistoryBuffer(values.numpy(), counts.numpy(), max_length)
    for method in record.state.get('statistics_methods', {}).values():
        if method.path != _GETATTR or method.args[0].path != _HISTORY or method.args[1] not in _STATISTICS:
            raise UnsafeCheckpointError('its log contains an unknown method')
    return HistoryBuffer(
        _array(record.state['_log_history']), _array(record.state['_count_history']), record.state['max_length']
    )


_BUILDERS = {
    **dict.fromkeys(_RECONSTRUCT, _array),
    **dict.fromkeys(_SCALAR, _scalar),
    _HISTORY: _history,
    _DTYPE: _dtype,
    _ENCODE: _bytes,
}


def reduce_history(history: HistoryBuffer) -> tuple[Any, ...]:
    """How our own checkpoints store a log: as two tensors, without ``getattr``."""
    values, counts = (torch.from_numpy(np.array(data)) for data in history.data)
    return HistoryBuffer, (values, counts, history.max_length)
