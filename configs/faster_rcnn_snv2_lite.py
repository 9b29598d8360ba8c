# Faster R-CNN on ShuffleNet V2 1.0x with an FPN, RPN and head as light as the backbone: no stride 4, 96 channels, half
# the width in the fully connected layers, and 300 proposals per image in testing.
_base_ = './faster_rcnn_snv2.py'

strides = [8, 16, 32, 64, 128]

model = dict(
    backbone=dict(out_indices=(1, 2, 3)),
    neck=dict(in_channels=[116, 232, 464], out_channels=96, norm_cfg=dict(type='BN')),
    # The anchors are those of the heavy detector, 32 to 512 pixels.
    rpn_head=dict(in_channels=96, feat_channels=96, anchor_generator=dict(scales=[4], strides=strides)),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=96, featmap_strides=strides[:3], finest_scale=112),
        bbox_head=dict(in_channels=96, fc_out_channels=512),
    ),
    test_cfg=dict(rpn=dict(max_per_img=300)),
)
