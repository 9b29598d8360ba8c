_base_ = './light_head_rcnn_snv2.py'

model = dict(
    backbone=dict(widen_factor=0.5, init_cfg=dict(checkpoint='checkpoints/imagenet_shufflenet_v2_0.5x.pth')),
    neck=dict(in_channels=192),
    rpn_head=dict(in_channels=96),
)
