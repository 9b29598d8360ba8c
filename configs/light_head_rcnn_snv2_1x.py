# Start with this config on a single GPU: 12 epochs, and torchvision's network, whose ImageNet weights are downloaded.
_base_ = './light_head_rcnn_snv2.py'

model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(variant='torchvision', init_cfg=dict(checkpoint='torchvision://shufflenet_v2_x1_0.imagenet1k_v1')),
)

train_cfg = dict(max_epochs=12)
param_scheduler = [
    dict(type='LinearLR', start_factor=1 / 3, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=12, milestones=[8, 11], gamma=0.1),
]
