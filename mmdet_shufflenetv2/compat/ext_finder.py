"""An import finder that supplies ``mmcv._ext`` where no compiled one is installed.

Its place is the end of ``sys.meta_path``: there Python asks it only after every other finder has failed, so a compiled
``mmcv._ext`` always wins. Finding the module imports nothing; loading it imports torch and torchvision.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ['SERVED_EXT_ORIGIN', 'ServedExtFinder']

EXT_NAME = 'mmcv._ext'

#: ``mmcv._ext.__spec__.origin`` when this package serves the operators.
SERVED_EXT_ORIGIN = 'mmdet_shufflenetv2.compat.mmcv_ops'


class _ServedExtLoader(Loader):

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        from . import mmcv_ops
        vars(module).update(mmcv_ops.SERVED)
        # Module-level __getattr__ (PEP 562): mmcv looks every operator's name up at import, long before one is called.
        module.__getattr__ = mmcv_ops.unserved  # type: ignore[method-assign]


class ServedExtFinder(MetaPathFinder):
    """Finds ``mmcv._ext``."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != EXT_NAME:
            return None
        return ModuleSpec(fullname, _ServedExtLoader(), origin=SERVED_EXT_ORIGIN)
