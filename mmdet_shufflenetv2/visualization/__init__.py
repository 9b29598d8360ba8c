"""Draw boxes on images, sheets of images, and training curves."""

from .boxes import class_color, draw_boxes
from .curves import check_plot_file
from .sheet import make_sheet

__all__ = ['check_plot_file', 'class_color', 'draw_boxes', 'make_sheet']
