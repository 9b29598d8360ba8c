"""Data sets: the built-in Shapes, and reading, checking and converting a user's own data."""

from .checks import check_images, prepare_dataset
from .shapes import ShapesDataset, make_shapes

__all__ = ['ShapesDataset', 'check_images', 'make_shapes', 'prepare_dataset']
