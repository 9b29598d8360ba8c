"""ShuffleNet V2 and the checkpoints that it reads."""

from .shufflenet_v2 import FeatureInfo, ShuffleNetV2

__all__ = ['FeatureInfo', 'ShuffleNetV2']
