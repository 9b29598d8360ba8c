"""``snv2 analyze``: report the mistakes of a detector, from a COCO results file and its annotations.

AP and matching are those of pycocotools, split by class and size.
"""

from .report import analyze

__all__ = ['analyze']
