_base_ = './light_head_rcnn_snv2.py'

model = dict(
    backbone=dict(widen_factor=2.0, init_cfg=dict(checkpoint='checkpoints/imagenet_shufflenet_v2_2.0x.pth')),
    neck=dict(in_channels=976),
    rpn_head=dict(in_channels=488),
)
