"""Using a detector: one Python call for notebooks, and images, videos and cameras from the command line.

Imports no PyTorch by itself: an exported detector runs without.
"""

from .detector import Detector

__all__ = ['Detector']
