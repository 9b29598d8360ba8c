"""What makes a trained detector fast: the shuffle-free form, and one graph from image to boxes."""

from .shuffle_free import shuffle_free, shuffle_free_detector

__all__ = ['shuffle_free', 'shuffle_free_detector']
