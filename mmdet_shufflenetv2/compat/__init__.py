"""MMDetection on current PyTorch without a compiler.

``import mmdet_shufflenetv2`` calls :func:`prepare` before it imports mmdet. :func:`prepare`

* raises an error with the pip command if mmcv is missing,
* provides ``mmcv._ext`` with torchvision's operators if no compiled one is installed (:mod:`.mmcv_ops`), also for
  modules of mmdet that are already imported (:mod:`.placeholders`),
* fixes bugs of MMDetection 3.3 and pycocotools (:mod:`.mmdet_fixes`),
* lets mmcv load AVIF and HEIC (:mod:`.image_formats`).

All patches of other packages are in a register (:mod:`.patches`), and their private names are only used in
:mod:`.private`. ``README.md`` has a table of both.
"""

from __future__ import annotations

import sys
import warnings
from importlib.util import find_spec

from .ext_finder import SERVED_EXT_ORIGIN, ServedExtFinder
from .patches import install

__all__ = ['ops_are_served', 'prepare', 'report']


def prepare() -> None:
    """Make MMDetection importable and fix its bugs. Further calls change nothing.

    Raises:
        ImportError: If mmcv is not installed, or if mmdet is already imported and its operators cannot be replaced.
    """
    if find_spec('mmcv') is None:
        raise ImportError(
            'mmdet_shufflenetv2 needs mmcv, which is not installed. Without a compiler: '
            "pip install 'mmcv-lite>=2.1.0,<2.2' (torchvision then provides its operators). "
            'With compiled operators: pip install mmcv==2.1.0. Install only one of the two.'
        )
    install('warnings.filters:pkg_resources', warnings.filterwarnings, 'ignore', message='pkg_resources is deprecated')
    if not any(isinstance(finder, ServedExtFinder) for finder in sys.meta_path):
        install('sys.meta_path:mmcv._ext', sys.meta_path.append, ServedExtFinder())
    if ops_are_served():
        from . import placeholders  # imports mmcv, which needs the finder above

        placeholders.replace_placeholders()
    from . import image_formats, mmdet_fixes

    mmdet_fixes.apply_fixes()
    image_formats.read_more_formats()


def ops_are_served() -> bool:
    """Whether this package provides ``mmcv._ext`` (True) or a compiled one is installed (False)."""
    spec = find_spec('mmcv._ext')
    return spec is not None and spec.origin == SERVED_EXT_ORIGIN


def report() -> str:
    """Return versions and the state of each operator as Markdown; see :mod:`.bug_report`."""
    from . import bug_report  # imports every package in the report

    return bug_report.report()
