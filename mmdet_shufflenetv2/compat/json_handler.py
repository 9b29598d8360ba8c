"""JSON without NaN for MMEngine's files, such as its logs: NaN is not valid JSON."""

from __future__ import annotations

from typing import Any

from mmengine.fileio import JsonHandler, register_handler

from ..utils.files import to_json
from .patches import install

__all__ = ['StrictJsonHandler']


class StrictJsonHandler(JsonHandler):
    """MMEngine's JSON writer for logs and metrics, with :func:`to_json`."""

    def dump_to_fileobj(self, obj: Any, file: Any, **kwargs: Any) -> None:
        """Write ``obj`` to an open file."""
        file.write(self.dump_to_str(obj, **kwargs))

    def dump_to_str(self, obj: Any, **kwargs: Any) -> str:
        """Return ``obj`` as a string."""
        return to_json(obj, **kwargs)


install('mmengine.fileio:json handler', register_handler('json'), StrictJsonHandler)
