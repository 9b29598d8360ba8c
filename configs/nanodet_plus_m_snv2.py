# NanoDet-Plus-m at 320x320 on COCO, trained as in NanoDet's nanodet-plus-m_320.yml, 300 epochs.
#
# Differences: boxes with less than one visible pixel after the warp are dropped; NanoDet trains a cell with each of
# them. Images without objects are dropped, as in MMDetection.
_base_ = ['./_base_/nanodet_plus_m.py', './_base_/coco_1x.py']

# ImageNet weights for RGB with BGR images, as in NanoDet.
model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='torchvision://shufflenet_v2_x1_0.imagenet1k_v1'))
)

size = (320, 320)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(
        type='WarpResize',
        scale=size,
        scaling_ratio_range=(0.6, 1.4),
        stretching_ratio_range=(0.8, 1.2),
        flip_prob=0.5,
        max_translate_ratio=0.2,
    ),
    dict(type='ColorDistortion', brightness_delta=51, contrast_range=(0.6, 1.4), saturation_range=(0.5, 1.2)),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1), keep_empty=False),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='WarpResize', scale=size),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
# NanoDet's 96 images per step, on one GPU.
train_dataloader = dict(batch_size=96, num_workers=10, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=300, val_interval=10)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=0.001, weight_decay=0.05), clip_grad=dict(max_norm=35, norm_type=2)
)
auto_scale_lr = dict(base_batch_size=96)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.0001, by_epoch=False, begin=0, end=500),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, T_max=300, eta_min_ratio=0.05),
]
default_hooks = dict(checkpoint=dict(interval=10))
