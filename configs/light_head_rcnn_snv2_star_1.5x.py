_base_ = './light_head_rcnn_snv2_1.5x.py'

model = dict(
    backbone=dict(
        large_receptive_field=True, init_cfg=dict(checkpoint='checkpoints/imagenet_shufflenet_v2_star_1.5x.pth')
    )
)
