"""NanoDet-m: a real-time detector on ShuffleNet V2, and reading its published weights.

Origin: https://github.com/RangiLyu/nanodet (Apache-2.0), its ``config/legacy_v0.x_configs/nanodet-m.yml``.
"""

from .center_pad import CenterPad
from .color_distortion import ColorDistortion
from .detector import NanoDet
from .fit_resize import FitResize
from .head import NanoDetHead
from .light_pan import LightPAN

__all__ = ['CenterPad', 'ColorDistortion', 'FitResize', 'LightPAN', 'NanoDet', 'NanoDetHead']
