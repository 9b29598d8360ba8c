"""What the ShuffleNet V2 paper published (Ma et al., ECCV 2018, arXiv 1807.11164)."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ['COCO_IMAGES_A_SECOND', 'COCO_MMAP', 'IMAGENET', 'LEVELS', 'ImageNetRow']


class ImageNetRow(NamedTuple):
    """A row of table 8."""

    mflops: int
    #: Top-1 error in percent, one crop of 224 pixels.
    top1_error: float


#: Table 8, ImageNet: (width, kind) -> row; kind is '' or 'se' (squeeze-and-excitation).
IMAGENET = {
    (0.5, ''): ImageNetRow(41, 39.7),
    (1.0, ''): ImageNetRow(146, 30.6),
    (1.5, ''): ImageNetRow(299, 27.4),
    (2.0, ''): ImageNetRow(591, 25.1),
    (2.0, 'se'): ImageNetRow(597, 24.6),
}

#: Table 7's columns: multiply-adds of the backbone at 224x224 -> our width.
LEVELS = {'40M': 0.5, '140M': 1.0, '300M': 1.5, '500M': 2.0}

#: Table 7, COCO: backbone -> mmAP in percent at each level; Light-Head R-CNN, 800x1200 pixels, minival.
COCO_MMAP = {
    'Xception': (21.9, 29.0, 31.3, 32.9),
    'ShuffleNet v1': (20.9, 27.0, 29.9, 32.9),
    'MobileNet v2': (20.7, 24.4, 30.0, 30.6),
    'ShuffleNet V2': (22.5, 29.0, 31.8, 33.3),
    'ShuffleNet V2*': (23.7, 29.6, 32.2, 34.2),
}

#: Table 7: backbone -> images per second at each level; batches of 4 on one GTX 1080 Ti.
COCO_IMAGES_A_SECOND = {
    'Xception': (178, 131, 101, 83),
    'ShuffleNet v1': (152, 85, 76, 60),
    'MobileNet v2': (146, 111, 94, 72),
    'ShuffleNet V2': (188, 146, 109, 87),
    'ShuffleNet V2*': (183, 138, 105, 83),
}
