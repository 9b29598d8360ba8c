"""The RPN of Light-Head R-CNN against MMDetection's."""

import torch
from mmdet.models.dense_heads import RPNHead

from mmdet_shufflenetv2.models.light_head import LightHeadRPN

ARGUMENTS = dict(
    in_channels=6,
    feat_channels=8,
    anchor_generator=dict(type='AnchorGenerator', scales=[2, 4], ratios=[0.5, 1.0, 2.0], strides=[16]),
)


def test_outputs_equal_mmdetections_rpn_on_the_second_input():
    ours, reference = LightHeadRPN(**ARGUMENTS), RPNHead(**ARGUMENTS)
    reference.load_state_dict(ours.state_dict())
    thin, c4 = torch.rand(2, 20, 5, 7), torch.rand(2, 6, 5, 7)
    for given, expected in zip(ours((thin, c4)), reference((c4,))):
        torch.testing.assert_close(given, expected)
