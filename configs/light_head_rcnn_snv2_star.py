# ShuffleNet V2*: one more depthwise convolution per unit for a larger receptive field (section 4 of the paper).
_base_ = './light_head_rcnn_snv2.py'

model = dict(
    backbone=dict(
        large_receptive_field=True, init_cfg=dict(checkpoint='checkpoints/imagenet_shufflenet_v2_star_1.0x.pth')
    )
)
