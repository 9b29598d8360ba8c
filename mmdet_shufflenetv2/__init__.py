"""ShuffleNet V2 for MMDetection 3. Importing this package registers every part of it.

First the ground is prepared (:mod:`.compat`): mmdet cannot be imported on today's PyTorch before that. On a machine
without PyTorch or MMEngine, which runs exported detectors, there are :class:`.Detector` and
:class:`.deploy.OnnxDetector` alone.
"""

from importlib.util import find_spec

from .errors import UserError

__version__ = '0.1.0'

_MISSING = [package for package in ('torch', 'mmengine') if find_spec(package) is None]

#: Whether this machine can train; False where exported detectors are run and nothing else.
TRAINING = not _MISSING

__all__ = ['TRAINING', 'Detector', 'UserError', '__version__']

if TRAINING:
    from . import compat

    compat.prepare()

    from . import classification as classification  # registers
    from . import coco_metric as coco_metric
    from . import datasets as datasets
    from . import light_head as light_head
    from . import nanodet as nanodet
    from .backbones import FeatureInfo, ShuffleNetV2

    __all__ += ['FeatureInfo', 'ShuffleNetV2', 'compat']
else:

    def __getattr__(name: str) -> object:
        if name in ('FeatureInfo', 'ShuffleNetV2', 'compat'):
            raise ImportError(f'No module named {_MISSING[0]!r}, which mmdet_shufflenetv2.{name} needs')
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

from .inference import Detector  # noqa: E402 - after the ground is prepared
