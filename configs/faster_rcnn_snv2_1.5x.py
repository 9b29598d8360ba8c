_base_ = './faster_rcnn_snv2.py'

model = dict(
    backbone=dict(widen_factor=1.5, init_cfg=dict(checkpoint='torchvision://shufflenet_v2_x1_5.imagenet1k_v1')),
    neck=dict(in_channels=[24, 176, 352, 704]),
)
