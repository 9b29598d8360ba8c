"""Run a detector: one Python call, or images, videos and cameras on the command line.

This room does not import PyTorch at import time, so exported detectors run without it.
"""

from .detector import Detector

__all__ = ['Detector']
