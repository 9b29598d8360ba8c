"""ShuffleNet V2 for MMDetection 3. Importing this package registers all its parts (:mod:`.registration`).

On a machine without PyTorch or MMEngine, only :class:`.Detector` and :class:`.deploy.ExportedDetector` are available,
which run exported detectors.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .utils.errors import UserError
from .utils.installation import MISSING, TRAINING, __version__

if TYPE_CHECKING:
    from . import compat
    from .inference import Detector
    from .models.backbones import FeatureInfo, ShuffleNetV2

__all__ = ['TRAINING', 'Detector', 'FeatureInfo', 'ShuffleNetV2', 'UserError', '__version__', 'compat', 'register']

# Modules of the public names; all except Detector need PyTorch.
_PUBLIC = {'Detector': 'inference', 'FeatureInfo': 'models.backbones', 'ShuffleNetV2': 'models.backbones'}


def register() -> None:
    """Register everything with MMDetection. Importing the package does this; calling it again has no effect."""
    if TRAINING:
        import_module('.registration', __name__)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    if MISSING and name != 'Detector':
        raise ImportError(f'No module named {MISSING[0]!r}, which mmdet_shufflenetv2.{name} needs')
    register()
    return (
        import_module('.compat', __name__)
        if name == 'compat'
        else getattr(import_module(f'.{_PUBLIC[name]}', __name__), name)
    )


def _is_command_line() -> bool:
    """Whether this process is ``snv2``, which registers later: ``snv2 --help`` must not wait for PyTorch."""
    main, multiprocessing = sys.modules.get('__main__'), sys.modules.get('multiprocessing.process')
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        return False  # a worker has the name of its parent, but not its command line
    return (
        hasattr(main, 'SNV2_COMMAND')
        or Path(sys.argv[0]).stem == 'snv2'
        or (sys.argv[0] == '-m' and ('-m', __name__) in zip(sys.orig_argv, sys.orig_argv[1:]))
    )


if not _is_command_line():
    register()
