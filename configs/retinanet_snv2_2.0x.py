_base_ = './retinanet_snv2.py'

model = dict(
    backbone=dict(widen_factor=2.0, init_cfg=dict(checkpoint='torchvision://shufflenet_v2_x2_0.imagenet1k_v1')),
    neck=dict(in_channels=[244, 488, 976]),
)
