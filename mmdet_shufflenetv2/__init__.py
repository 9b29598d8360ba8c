"""ShuffleNet V2 for MMDetection 3. Importing this package registers every part of it.

First the ground is prepared (:mod:`.compat`): mmdet cannot be imported on today's PyTorch before that.
"""

from . import compat

compat.prepare()

from . import datasets as datasets  # noqa: E402  (registers)
from . import light_head as light_head  # noqa: E402  (registers)
from . import nanodet as nanodet  # noqa: E402  (registers)
from .backbones import FeatureInfo, ShuffleNetV2  # noqa: E402
from .errors import UserError  # noqa: E402

__version__ = '0.1.0'

__all__ = ['FeatureInfo', 'ShuffleNetV2', 'UserError', '__version__', 'compat']
