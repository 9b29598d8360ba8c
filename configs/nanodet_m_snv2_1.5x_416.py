# NanoDet-m-1.5x at 416x416, as in NanoDet's nanodet-m-1.5x-416.yml, except for its 176 images per step.
_base_ = './nanodet_m_snv2_416.py'

model = dict(
    backbone=dict(widen_factor=1.5, init_cfg=dict(checkpoint='torchvision://shufflenet_v2_x1_5.imagenet1k_v1')),
    neck=dict(in_channels=[176, 352, 704], out_channels=128),
    bbox_head=dict(in_channels=128, feat_channels=128),
)
