"""COCO 2017 in one command: downloaded, checked, unpacked where the configs expect it."""

from .prepare import prepare_coco

__all__ = ['prepare_coco']
