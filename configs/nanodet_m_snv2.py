# NanoDet-m at 320x320 on COCO, trained as in NanoDet's nanodet-m.yml, 280 epochs.
#
# NanoDet applies all random geometric transforms as one warp; these are the most similar transforms of MMDetection.
# They scale about the top left corner, not the center. Color transforms precede the padding, which therefore is 0 as in
# evaluation. Gradients are clipped as in NanoDet since 1.0. Evaluation is the same: the long side is resized to fit,
# sizes are rounded down, and the image is centered.
_base_ = ['./_base_/nanodet_m.py', './_base_/coco_1x.py']

# ImageNet weights for RGB with BGR images, as in NanoDet.
model = dict(
    backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='torchvision://shufflenet_v2_x1_0.imagenet1k_v1'))
)

size = (320, 320)
mean = [103.53, 116.28, 123.675]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='FitResize', scale=size),
    dict(type='ColorDistortion', brightness_delta=51, contrast_range=(0.6, 1.4), saturation_range=(0.5, 1.2)),
    dict(type='CenterPad', size=size, pad_val=mean),
    dict(
        type='RandomAffine',
        max_rotate_degree=0,
        max_shear_degree=0,
        max_translate_ratio=0.2,
        scaling_ratio_range=(0.6, 1.4),
        border_val=mean,
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1, 1), keep_empty=False),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='FitResize', scale=size),
    dict(type='CenterPad', size=size, pad_val=mean),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'padding')),
]
# For --tta: the image and its horizontal flip.
tta_model = dict(type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100))
tta_pipeline = [
    *test_pipeline[:-1],
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)],
            [
                dict(
                    type='PackDetInputs',
                    meta_keys=(
                        'img_id',
                        'img_path',
                        'ori_shape',
                        'img_shape',
                        'scale_factor',
                        'padding',
                        'flip',
                        'flip_direction',
                    ),
                )
            ],
        ],
    ),
]
# NanoDet's 192 images per step, on eight GPUs.
train_dataloader = dict(batch_size=24, num_workers=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=280, val_interval=10)
optim_wrapper = dict(optimizer=dict(lr=0.14), clip_grad=dict(max_norm=35, norm_type=2))
auto_scale_lr = dict(base_batch_size=192)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=300),
    dict(type='MultiStepLR', by_epoch=True, milestones=[240, 260, 275], gamma=0.1),
]
default_hooks = dict(checkpoint=dict(interval=10))
