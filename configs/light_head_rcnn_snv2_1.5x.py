_base_ = './light_head_rcnn_snv2.py'

model = dict(
    backbone=dict(widen_factor=1.5, init_cfg=dict(checkpoint='checkpoints/imagenet_shufflenet_v2_1.5x.pth')),
    neck=dict(in_channels=704),
    rpn_head=dict(in_channels=352),
)
