_base_ = './light_head_rcnn_snv2_2.0x.py'

model = dict(
    backbone=dict(
        large_receptive_field=True, init_cfg=dict(checkpoint='checkpoints/imagenet_shufflenet_v2_star_2.0x.pth')
    )
)
