# NanoDet-Plus-m-1.5x, as in NanoDet's nanodet-plus-m-1.5x_320.yml: a wider backbone and neck.
#
# NanoDet trained its published weights without a pre-trained backbone, because torchvision had no weights of this width
# yet.
_base_ = './nanodet_plus_m_snv2.py'

model = dict(
    backbone=dict(widen_factor=1.5, init_cfg=dict(checkpoint='torchvision://shufflenet_v2_x1_5.imagenet1k_v1')),
    neck=dict(in_channels=[176, 352, 704], out_channels=128),
    bbox_head=dict(in_channels=128, feat_channels=128),
)
