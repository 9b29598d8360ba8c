"""Deployment of trained detectors: the shuffle-free form, and export to other runtimes."""

from ..utils.installation import TRAINING
from .exported import ExportedDetector

#: Names of earlier versions.
OnnxDetector = ExportedDetector

__all__ = ['ExportedDetector', 'OnnxDetector']

if TRAINING:
    from .export import export_model
    from .shuffle_free import shuffle_free, shuffle_free_detector

    export_onnx = export_model

    __all__ += ['export_model', 'export_onnx', 'shuffle_free', 'shuffle_free_detector']
