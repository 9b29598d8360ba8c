"""An unpickler that builds data and calls no function that a file refers to.

A PyTorch checkpoint is a pickle, and a pickle may call any function while it is loaded. Here only the names in a short
table are resolved: tensors, a few containers and the types that the user has allowed. Any other name becomes an inert
:class:`Name`, and whatever the file does with it (calling it, creating an object, setting its state or items) becomes
an inert :class:`Record`. Nothing is imported. So a file may also contain types of its trainer; :mod:`.records` decides
which records are data, and where unknown ones are allowed.

``torch.load`` takes such an unpickler as its ``pickle_module``; no setting of the process is changed.
"""

from __future__ import annotations

import math
import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import torch

__all__ = ['Name', 'Record', 'data_unpickler']


class Name:
    """A type or function that a file refers to, by its dotted path."""

    def __init__(self, path: str) -> None:
        self.path = path


class Record:
    """An object that was not built: the dotted path of its type or function, the arguments and the state.

    Items that the file adds to it, as to a list or a dictionary, are dropped.
    """

    def __init__(self, path: str, args: tuple[Any, ...] = ()) -> None:
        self.path = path
        self.args = args
        self.state: Any = None

    def __repr__(self) -> str:
        return f'<{self.path}, not read>'


_RECORDS = (Name, Record)
# Names of Python 2, which protocol 2 writes.
_MODULES = {'__builtin__': 'builtins', 'copy_reg': 'copyreg'}
# Limit of the names and of the parts of a key: a few bytes could exceed the memory or the time.
_MOST = 10_000
# Limit of the items that are copied into containers; current pickles fill containers without copying.
_MOST_COPIED = 1_000_000

_REBUILD_TENSOR = {
    f'torch._utils.{name}': getattr(torch._utils, name)
    for name in ('_rebuild_tensor', '_rebuild_tensor_v2', '_rebuild_tensor_v3')
    if hasattr(torch._utils, name)
}
# PyTorch's functions would also set hooks and attributes from the file, or call its arguments; here they only rebuild.
_PARAMETER, _TENSOR_OF_TYPE = Name('torch.nn.Parameter'), Name('torch.Tensor')

#: Values that a file refers to without calling them: types of storages and tensors, dtypes.
_CONSTANTS = {
    'torch.storage.UntypedStorage': torch.UntypedStorage,
    'torch.storage.TypedStorage': torch.storage.TypedStorage,
    'torch.Tensor': torch.Tensor,
    'torch.nn.parameter.Parameter': torch.nn.Parameter,
    **{str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)},
}
_CALLABLE = {
    'collections.OrderedDict': OrderedDict,
    'collections.Counter': Counter,
    'builtins.set': set,
    'builtins.complex': complex,
    'torch.Size': torch.Size,
    'torch.device': torch.device,
    **_REBUILD_TENSOR,
    'torch._utils._rebuild_parameter': _PARAMETER,
    'torch._utils._rebuild_parameter_with_state': _PARAMETER,
    'torch._tensor._rebuild_from_type_v2': _TENSOR_OF_TYPE,
}


def data_unpickler(allowed: Mapping[str, Any], sizes: Mapping[str, int] | None, file_size: int) -> Any:
    """The ``pickle_module`` for ``torch.load``.

    Args:
        allowed: Dotted path -> type or function that the user has allowed by ``torch.serialization.add_safe_globals``.
        sizes: Bytes of each storage in the file by its key, or None for files in the format before PyTorch 1.6.
        file_size: Bytes of the file.
    """

    class Unpickler(_DataUnpickler):
        user_allowed, storage_sizes, most_bytes = allowed, sizes, file_size

    return SimpleNamespace(
        __name__='data_unpickler',
        Unpickler=Unpickler,
        UnpicklingError=pickle.UnpicklingError,
        load=lambda file, **options: Unpickler(file, **options).load(),
    )


def _check_keys(keys: Iterable[Any]) -> None:
    """Raise if a key is not a plain value: hashing a nested tuple can take years."""
    left, count = list(keys), 0
    for key in left:
        if type(key) is tuple:
            count += len(key)
            if count > _MOST:
                raise pickle.UnpicklingError('a key with too many parts')
            left.extend(key)
        elif not isinstance(key, (str, bytes, int, float, complex, type(None), torch.dtype, torch.device, *_RECORDS)):
            raise pickle.UnpicklingError(f'a {type(key).__name__} as a key')


# They call or hash something, access the process, or allocate memory that is never filled.
_UNSUPPORTED = [
    code[0]
    for code in (
        pickle.INST,
        pickle.OBJ,
        pickle.EXT1,
        pickle.EXT2,
        pickle.EXT4,
        pickle.PERSID,
        pickle.DICT,
        pickle.NEXT_BUFFER,
        pickle.READONLY_BUFFER,
    )
]


# PyTorch's restricted unpickler has one allowlist for the whole process, and calls cannot be intercepted in the C one.
class _DataUnpickler(pickle._Unpickler):
    user_allowed: Mapping[str, Any]
    storage_sizes: Mapping[str, int] | None
    most_bytes: int
    # Set by the base class.
    stack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, file: Any, **options: Any) -> None:
        super().__init__(file, **options)
        self._names: dict[str, Name] = {}
        self._copied = self._stored = 0
        self._storages: dict[Any, int] = {}

    def find_class(self, module: str, name: str) -> Any:
        path = f'{_MODULES.get(module, module)}.{name}'
        for table in (self.user_allowed, _CALLABLE, _CONSTANTS):
            if path in table:
                return table[path]
        if len(self._names) >= _MOST:
            raise pickle.UnpicklingError('too many names')
        return self._names.setdefault(path, Name(path))

    def _call(self, function: Any, args: Any, keywords: Any = None) -> Any:
        if type(args) is not tuple:
            raise pickle.UnpicklingError('arguments that are not a tuple')
        if function is _TENSOR_OF_TYPE:
            return self._call(args[0], args[2])
        if function is _PARAMETER:
            return torch.nn.Parameter(*args[:2])
        if isinstance(function, _RECORDS):
            return Record(function.path, args)
        if keywords or not (_is_in(function, _CALLABLE) or _is_in(function, self.user_allowed)):
            raise pickle.UnpicklingError(f'a call of {getattr(function, "__name__", type(function).__name__)}')
        if function in (OrderedDict, Counter, set):
            keys = _keys_of(function, *args)
            _check_keys(keys)
            self._copied += len(keys)
            if self._copied > _MOST_COPIED:
                raise pickle.UnpicklingError('too many copied items')
        elif _is_in(function, _REBUILD_TENSOR):
            _check_extent(*args)
            args = (*args[:5], *(OrderedDict(), *args[6:])[: max(len(args) - 5, 0)])  # without backward hooks
        return function(*args)

    def load_reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], args)

    def load_newobj(self) -> None:
        args = self.stack.pop()
        kind = self.stack.pop()
        self.append(
            kind.__new__(kind, *args)
            if isinstance(kind, type) and _is_in(kind, self.user_allowed)
            else self._call(kind, args)
        )

    def load_newobj_ex(self) -> None:
        keywords = self.stack.pop()
        args = self.stack.pop()
        self.append(self._call(self.stack.pop(), args, keywords))

    def load_build(self) -> None:
        state, built = self.stack.pop(), self.stack[-1]
        if type(built) is Record:
            built.state = state
        elif type(built) is OrderedDict:
            metadata = state.get('_metadata') if type(state) is dict else None
            if _is_metadata(metadata):  # versions of layers
                built._metadata = metadata  # type: ignore[attr-defined]  # PyTorch sets it on its state dicts
        elif _is_in(type(built), self.user_allowed):
            self.stack.append(state)
            super().load_build()  # type: ignore[misc]  # typeshed lacks it
        else:
            raise pickle.UnpicklingError(f'a state of a {type(built).__name__}')

    def _fill(self, kinds: tuple[type, ...], items: list[Any]) -> Any:
        """The container on the stack that receives the items, or None if they are dropped."""
        if type(self.stack[-1]) is Record:
            return None
        if type(self.stack[-1]) not in kinds:
            raise pickle.UnpicklingError(f'items of a {type(self.stack[-1]).__name__}')
        if kinds is not _LISTS:
            _check_keys(items[::2] if kinds is _DICTS else items)
        return self.stack[-1]

    def load_append(self) -> None:
        self._extend([self.stack.pop()])

    def load_appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: list[Any]) -> None:
        if (target := self._fill(_LISTS, items)) is not None:
            target.extend(items)

    def load_setitem(self) -> None:
        value = self.stack.pop()
        self._set_items([self.stack.pop(), value])

    def load_setitems(self) -> None:
        self._set_items(self.pop_mark())

    def _set_items(self, items: list[Any]) -> None:
        if (target := self._fill(_DICTS, items)) is not None:
            for key, value in zip(items[::2], items[1::2], strict=True):
                target[key] = value

    def load_additems(self) -> None:
        items = self.pop_mark()
        if (target := self._fill((set,), items)) is not None:
            target.update(items)

    def load_frozenset(self) -> None:
        items = self.pop_mark()
        _check_keys(items)
        self.append(frozenset(items))

    def load_binpersid(self) -> None:
        entry = self.stack.pop()
        # ('storage', type, key, location, numel), in the older format also a view's key, offset and size
        if type(entry) is not tuple or len(entry) not in (5, 6) or entry[0] not in ('storage', b'storage'):
            raise pickle.UnpicklingError('a reference to something other than a storage')
        _check_keys(entry[2:])
        _, kind, key, _, numel, *_ = entry
        numel_bytes = numel * (1 if kind is torch.UntypedStorage else kind.dtype.itemsize)
        added = max(numel_bytes - self._storages.get(key, 0), 0)
        self._storages[key] = self._storages.get(key, 0) + added
        self._stored += added
        most = self.most_bytes if self.storage_sizes is None else self.storage_sizes.get(str(key), 0)
        if not 0 <= numel_bytes <= most or self._stored > self.most_bytes:
            raise pickle.UnpicklingError('a tensor with more values than the file')
        self.append(self.persistent_load(entry))

    def load_bytearray8(self) -> None:
        length = int.from_bytes(self.read(8), 'little')
        if length > self.most_bytes:
            raise pickle.UnpicklingError('more bytes than the file')
        self.append(self.read(length))

    def load_unsupported(self) -> None:
        raise pickle.UnpicklingError('an unsupported pickle instruction')

    dispatch = dict(pickle._Unpickler.dispatch) | {  # type: ignore[assignment]  # typeshed: handlers of the C class
        pickle.REDUCE[0]: load_reduce,
        pickle.NEWOBJ[0]: load_newobj,
        pickle.NEWOBJ_EX[0]: load_newobj_ex,
        pickle.BUILD[0]: load_build,
        pickle.APPEND[0]: load_append,
        pickle.APPENDS[0]: load_appends,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.ADDITEMS[0]: load_additems,
        pickle.FROZENSET[0]: load_frozenset,
        pickle.BINPERSID[0]: load_binpersid,
        pickle.BYTEARRAY8[0]: load_bytearray8,
        **dict.fromkeys(_UNSUPPORTED, load_unsupported),
    }


_LISTS: tuple[type, ...] = (list,)
_DICTS: tuple[type, ...] = (dict, OrderedDict, Counter)


def _is_in(value: Any, table: Mapping[str, Any]) -> bool:
    return any(value is entry for entry in table.values())


def _keys_of(kind: type, items: Iterable[Any] = ()) -> list[Any]:
    """Keys of the items that a container is built from, in the forms that pickles use."""
    if (
        kind is OrderedDict
        and type(items) in (list, tuple)
        and all(type(pair) in (list, tuple) and len(pair) == 2 for pair in items)
    ):
        return [key for key, _ in items]
    if (kind is set and type(items) in (list, tuple, set)) or (kind is Counter and type(items) is dict):
        return list(items)
    if items == ():
        return []
    raise pickle.UnpicklingError(f'a {kind.__name__} built from a {type(items).__name__}')


def _is_metadata(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(key, str)
        and type(entry) is dict
        and all(isinstance(item, (int, str, type(None))) for part in entry.items() for item in part)
        for key, entry in value.items()
    )


def _check_extent(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *others: Any) -> None:
    """Raise if a tensor exceeds its storage: PyTorch would allocate more."""
    numbers = (offset, *size, *stride)
    if not all(type(number) is int and number >= 0 for number in numbers) or len(size) != len(stride):
        raise pickle.UnpicklingError('a tensor with an invalid shape')
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    width = max([storage.dtype.itemsize, *(other.itemsize for other in others if isinstance(other, torch.dtype))])
    if math.prod(size) and (last + 1) * width > storage._untyped_storage.nbytes():
        raise pickle.UnpicklingError('a tensor with more values than the file')
