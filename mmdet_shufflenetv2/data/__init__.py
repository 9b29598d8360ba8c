"""Data sets: the built-in Shapes, and what is checked about a user's own before a run starts."""

from .checks import check_images, prepare_dataset
from .shapes import ShapesDataset, make_shapes

__all__ = ['ShapesDataset', 'check_images', 'make_shapes', 'prepare_dataset']
