"""ImageNet: the backbone with its classifier, to pre-train what nobody publishes and to evaluate what is published."""

from .classifier import ImageClassifier, TopKAccuracy
from .image_folder import ImageFolder
from .recipes import AuthorsInit, NormStatisticsHook, RepeatedAugmentationSampler

__all__ = [
    'AuthorsInit', 'ImageClassifier', 'ImageFolder', 'NormStatisticsHook', 'RepeatedAugmentationSampler',
    'TopKAccuracy'
]
