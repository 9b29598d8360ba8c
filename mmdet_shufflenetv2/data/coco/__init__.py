"""Download, check and unpack COCO 2017 to the folder that the configs expect."""

from .prepare import prepare_coco

__all__ = ['prepare_coco']
