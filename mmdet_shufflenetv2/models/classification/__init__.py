"""ImageNet: the backbone with its classifier, to pre-train what nobody publishes and to evaluate what is published."""

from .accuracy import TopKAccuracy
from .authors_init import AuthorsInit
from .classifier import ImageClassifier
from .image_folder import ImageFolder
from .norm_statistics import NormStatisticsHook
from .repeated_augmentation import RepeatedAugmentationSampler

__all__ = [
    'AuthorsInit', 'ImageClassifier', 'ImageFolder', 'NormStatisticsHook', 'RepeatedAugmentationSampler',
    'TopKAccuracy'
]
