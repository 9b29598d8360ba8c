"""MMEngine's JSON files, its logs among them, without NaN, which is not JSON."""

from __future__ import annotations

from typing import Any

from mmengine.fileio import JsonHandler, register_handler

from ..utils.files import to_json
from .patches import install

__all__ = ['StrictJsonHandler']


class StrictJsonHandler(JsonHandler):
    """MMEngine's writer of JSON, by which it writes its logs and metrics, in our form; see :func:`to_json`."""

    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
        """Write ``obj`` into an open file."""
        file.write(self.dump_to_str(obj, **kwargs))

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """``obj`` as a string."""
        return to_json(obj, **kwargs)


install('mmengine.fileio:json handler', register_handler('json'), StrictJsonHandler)
