_base_ = './retinanet_snv2.py'

model = dict(
    backbone=dict(widen_factor=0.5, init_cfg=dict(checkpoint='torchvision://shufflenet_v2_x0_5.imagenet1k_v1')),
    neck=dict(in_channels=[48, 96, 192]),
)
