# Can the whole chain memorise 50 real images? Faster R-CNN at 320 pixels around a backbone that was trained on COCO,
# fine-tuned on 50 images of train2017 and evaluated on the same 50. A broken link anywhere shows as a low AP.
#
# COCO_TINY names the folder of the images (COCO's layout), SNV2_WEIGHTS the backbone's checkpoint.
_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', '../../configs/_base_/coco_1x.py']

data_root = '{{$COCO_TINY:data/coco_tiny}}/'
scale = (320, 320)

model = dict(
    # NanoDet-m's backbone: BGR input and LeakyReLU, batch norms folded into the convolutions.
    data_preprocessor=dict(
        mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395], bgr_to_rgb=False),
    backbone=dict(
        _delete_=True,
        type='ShuffleNetV2',
        widen_factor=1.0,
        out_indices=(0, 1, 2, 3),
        act_cfg=dict(type='LeakyReLU', negative_slope=0.1),
        norm_eval=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$SNV2_WEIGHTS:checkpoints/shufflenetv2_x1_0_leakyrelu_nanodet_m.pth}}')),
    neck=dict(in_channels=[24, 116, 232, 464], out_channels=96, norm_cfg=dict(type='BN')),
    rpn_head=dict(in_channels=96, feat_channels=96, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=96), bbox_head=dict(in_channels=96, fc_out_channels=512)),
    train_cfg=dict(rpn_proposal=dict(nms_pre=500, max_per_img=250), rcnn=dict(sampler=dict(num=128))),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=250)))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=4, num_workers=2, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=4,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_train2017.json')
test_evaluator = val_evaluator

max_epochs = 60
train_cfg = dict(max_epochs=max_epochs, val_interval=20)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=0.001, weight_decay=0.05),
    clip_grad=dict(max_norm=10, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False)
randomness = dict(seed=0)
default_hooks = dict(logger=dict(interval=13), checkpoint=dict(interval=20))
