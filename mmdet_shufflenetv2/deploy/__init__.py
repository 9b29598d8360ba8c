"""What makes a trained detector fast: the shuffle-free form, and one graph from image to boxes."""

from ..utils.installation import TRAINING
from .onnx_detector import OnnxDetector

__all__ = ['OnnxDetector']

if TRAINING:
    from .onnx_export import export_onnx
    from .shuffle_free import shuffle_free, shuffle_free_detector

    __all__ += ['export_onnx', 'shuffle_free', 'shuffle_free_detector']
