"""What a detector gets right and wrong, from a COCO results file and its annotations.

AP and matching are pycocotools' own; here they are told apart by class and size, and the mistakes are looked up.
"""

from .report import analyze

__all__ = ['analyze']
