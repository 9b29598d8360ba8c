"""Light-Head R-CNN, the detector behind the COCO results of the ShuffleNet V2 paper.

Paper: Light-Head R-CNN: In Defense of Two-Stage Object Detector (Li, Peng, Yu, Zhang, Deng, Sun, 2017,
https://arxiv.org/abs/1711.07264). Here are the three parts that MMDetection lacks; the rest of the detector is
MMDetection's, put together in ``configs/_base_/light_head_rcnn.py``::

    image -> backbone -> C5 -> LargeSeparableConv -> thin map ---> PSRoIAlignExtractor -> ConvFCBBoxHead -> boxes
                      -> C4 -> LightHeadRPN -> proposals ------------^
"""

from .large_separable_conv import LargeSeparableConv
from .ps_roi_align import PSRoIAlignExtractor
from .rpn_head import LightHeadRPN

__all__ = ['LargeSeparableConv', 'LightHeadRPN', 'PSRoIAlignExtractor']
