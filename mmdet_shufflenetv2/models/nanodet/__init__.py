"""NanoDet-m and NanoDet-Plus: real-time detectors on ShuffleNet V2.

Origin: https://github.com/RangiLyu/nanodet (Apache-2.0), its ``config/legacy_v0.x_configs/nanodet-m.yml`` and
``config/nanodet-plus-m_320.yml``. Its published weights load unchanged: :mod:`...checkpoints.nanodet_layout`.
"""

from .assign_guidance import AssignGuidance, AssignGuidanceHead, AssignGuidanceHook
from .center_pad import CenterPad
from .color_distortion import ColorDistortion
from .detector import NanoDet
from .fit_resize import FitResize
from .ghost_pan import GhostPAN
from .head import NanoDetHead
from .light_pan import LightPAN
from .plus_detector import NanoDetPlus
from .plus_head import NanoDetPlusHead
from .warp_resize import WarpResize

__all__ = [
    'AssignGuidance',
    'AssignGuidanceHead',
    'AssignGuidanceHook',
    'CenterPad',
    'ColorDistortion',
    'FitResize',
    'GhostPAN',
    'LightPAN',
    'NanoDet',
    'NanoDetHead',
    'NanoDetPlus',
    'NanoDetPlusHead',
    'WarpResize',
]
