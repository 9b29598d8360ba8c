"""Convert a data set of any supported format to COCO, YOLO or Pascal VOC."""

from .convert import convert

__all__ = ['convert']
