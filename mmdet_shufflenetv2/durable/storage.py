"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import mmengine
from mmengine.fileio import JsonHandler, LocalBackend, register_backend, register_handler
from mmengine.fileio.handlers.json_handler import set_default

__all__ = ['AtomicBackend', 'remove_leftovers', 'to_json', 'write_atomically', 'write_json']


def write_atomically(path: str | os.PathLike, content: bytes) -> None:
    """Write a file under a temporary name beside its own, have it reach the disk, and rename it.

    Whatever interrupts that leaves the file as it was before, or whole.

    Raises:
        OSError: If it cannot be written; the temporary file is gone.
    """
    path = Path(path)
    unfinished = path.with_name(f'.{path.name}.{os.getpid()}.unfinished')
    try:
        with open(unfinished, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else a power cut may take the name back
    finally:
        os.close(folder)


def write_json(path: str | os.PathLike, content: Any, indent: int | None = 2) -> None:
    """Write a JSON file as :func:`write_atomically` does, and the folder that it is in; see :func:`to_json`."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (to_json(content, indent) + '\n').encode())


def to_json(content: Any, indent: int | None = None, **kwargs: Any) -> str:
    """``content`` as JSON. What is not finite becomes ``null``: Python's ``NaN`` is not JSON, and others refuse it.

    Args:
        content: What ``json.dumps`` takes, and NumPy's numbers and arrays.
        indent, kwargs: Arguments of ``json.dumps``.
    """
    kwargs = dict(default=set_default, indent=indent) | kwargs
    try:
        return json.dumps(content, **kwargs, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(json.loads(json.dumps(content, **kwargs))), **kwargs, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@register_handler('json')
class StrictJsonHandler(JsonHandler):
    """MMEngine's writer of JSON, by which it writes its logs and metrics, in our form; see :func:`to_json`."""

    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
        """Write ``obj`` into an open file."""
        file.write(self.dump_to_str(obj, **kwargs))

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """``obj`` as a string."""
        return to_json(obj, **kwargs)


def remove_leftovers(folder: str | os.PathLike) -> None:
    """Remove what killed processes left of unfinished files."""
    for path in Path(folder).glob('.*.unfinished'):
        path.unlink(missing_ok=True)


class AtomicBackend(LocalBackend):
    """MMEngine's local files, written atomically."""

    def put(self, obj: bytes, filepath: str | os.PathLike) -> None:
        """Write bytes to a file; see :func:`write_atomically`."""
        mmengine.mkdir_or_exist(os.path.dirname(filepath))
        write_atomically(filepath, obj)


register_backend('atomic', AtomicBackend, force=True)
