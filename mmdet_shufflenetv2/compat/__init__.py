"""MMDetection on today's PyTorch without a compiler.

:func:`prepare` is called by ``import mmdet_shufflenetv2``, before anything of mmdet is imported. It

* says what to install where mmcv is missing,
* serves ``mmcv._ext`` with torchvision's operators where no compiled one is installed (:mod:`.mmcv_ops`), also to
  what was imported of mmdet before (:mod:`.placeholders`),
* fixes what MMDetection 3.3 and pycocotools break (:mod:`.mmdet_fixes`).

What is replaced of others is in a register (:mod:`.patches`), and their private names are used through one module
(:mod:`.private`); ``README.md`` has both as tables.
"""

from __future__ import annotations

import sys
import warnings
from importlib.util import find_spec

from .ext_finder import SERVED_EXT_ORIGIN, ServedExtFinder
from .patches import install

__all__ = ['ops_are_served', 'prepare', 'report']


def prepare() -> None:
    """Make MMDetection importable and its checkpoints safe. Calling it again changes nothing.

    Raises:
        ImportError: Where mmcv is not installed, or where mmdet was imported before and cannot be given the operators;
            the message says what to do.
    """
    if find_spec('mmcv') is None:
        raise ImportError(
            'mmdet_shufflenetv2 needs mmcv, and none is installed. Without a compiler: '
            "pip install 'mmcv-lite>=2.1.0,<2.2' (its operators are then served by torchvision). "
            'With compiled operators: pip install mmcv==2.1.0. Install one of the two, never both.')
    install('warnings.filters:pkg_resources', warnings.filterwarnings, 'ignore',
            message='pkg_resources is deprecated')
    if not any(isinstance(finder, ServedExtFinder) for finder in sys.meta_path):
        install('sys.meta_path:mmcv._ext', sys.meta_path.append, ServedExtFinder())
    if ops_are_served():
        from . import placeholders  # imports mmcv, which was not importable before
        placeholders.replace_placeholders()
    from . import mmdet_fixes
    mmdet_fixes.apply_fixes()


def ops_are_served() -> bool:
    """Whether ``mmcv._ext`` is served by this package (True) or is a compiled one (False)."""
    spec = find_spec('mmcv._ext')
    return spec is not None and spec.origin == SERVED_EXT_ORIGIN


def report() -> str:
    """Versions and the state of each operator as Markdown; see :mod:`.bug_report`."""
    from . import bug_report  # imports all that it reports on
    return bug_report.report()
