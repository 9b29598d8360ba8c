"""The ShuffleNet V2 backbone."""

from .shufflenet_v2 import FeatureInfo, ShuffleNetV2

__all__ = ['FeatureInfo', 'ShuffleNetV2']
