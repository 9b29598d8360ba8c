# NanoDet-m-0.5x at 320x320, as in NanoDet's nanodet-m-0.5x.yml, with its learning rate of 0.07 for 96 images.
_base_ = './nanodet_m_snv2.py'

model = dict(
    backbone=dict(widen_factor=0.5, init_cfg=dict(checkpoint='torchvision://shufflenet_v2_x0_5.imagenet1k_v1')),
    neck=dict(in_channels=[48, 96, 192]),
)

train_pipeline = _base_.train_pipeline
train_pipeline[5]['scaling_ratio_range'] = (0.5, 1.5)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
train_cfg = dict(max_epochs=180)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.00001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', by_epoch=True, milestones=[130, 160, 175], gamma=0.1),
]
