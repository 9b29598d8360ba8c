"""Writing a data set in COCO's, YOLO's or Pascal VOC's format, whatever it was read from."""

from .convert import convert

__all__ = ['convert']
