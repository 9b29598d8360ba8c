"""ImageNet classification: pre-train backbones and evaluate published weights."""

from .classifier import ImageClassifier, TopKAccuracy
from .image_folder import ImageFolder
from .recipes import AuthorsInit, NormStatisticsHook, RepeatedAugmentationSampler

__all__ = [
    'AuthorsInit',
    'ImageClassifier',
    'ImageFolder',
    'NormStatisticsHook',
    'RepeatedAugmentationSampler',
    'TopKAccuracy',
]
