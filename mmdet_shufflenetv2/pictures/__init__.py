"""Images with boxes and their names, and several of them on one sheet."""

from .boxes import class_color, draw_boxes
from .sheet import make_sheet

__all__ = ['class_color', 'draw_boxes', 'make_sheet']
