"""An import finder that provides ``mmcv._ext`` if no compiled one is installed.

It is the last finder in ``sys.meta_path``. Python only asks it after every other finder has failed, so a compiled
``mmcv._ext`` always takes precedence. Finding the module imports nothing; loading it imports torch and torchvision.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ['SERVED_EXT_ORIGIN', 'ServedExtFinder']

EXT_NAME = 'mmcv._ext'

#: ``mmcv._ext.__spec__.origin`` if this package provides the operators.
SERVED_EXT_ORIGIN = 'mmdet_shufflenetv2.compat.mmcv_ops'


class _ServedExtLoader(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        from . import mmcv_ops  # imports torch, which finding the module must not

        vars(module).update(mmcv_ops.SERVED)
        # Module-level __getattr__ (PEP 562): mmcv accesses every operator when it is imported, before any is called.
        module.__getattr__ = mmcv_ops.unsupported_operator  # type: ignore[method-assign]  # set on this module only


class ServedExtFinder(MetaPathFinder):
    """Finds ``mmcv._ext``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != EXT_NAME:
            return None
        return ModuleSpec(fullname, _ServedExtLoader(), origin=SERVED_EXT_ORIGIN)
