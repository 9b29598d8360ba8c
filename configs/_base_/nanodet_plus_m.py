# NanoDet-Plus-m without data. https://github.com/RangiLyu/nanodet, config/nanodet-plus-m_320.yml
model = dict(
    type='NanoDetPlus',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[103.53, 116.28, 123.675],
        std=[57.375, 57.12, 58.395],
        bgr_to_rgb=False,
        pad_size_divisor=32),
    backbone=dict(
        type='ShuffleNetV2',
        widen_factor=1.0,
        out_indices=(1, 2, 3),
        act_cfg=dict(type='LeakyReLU', negative_slope=0.1)),
    neck=dict(type='GhostPAN', in_channels=[116, 232, 464], out_channels=96),
    bbox_head=dict(
        type='NanoDetPlusHead',
        num_classes=80,
        in_channels=96,
        feat_channels=96,
        anchor_generator=dict(
            type='AnchorGenerator',
            ratios=[1.0],
            octave_base_scale=5,
            scales_per_octave=1,
            center_offset=0.0,
            strides=[8, 16, 32, 64]),
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0, loss_weight=1.0),
        loss_dfl=dict(type='DistributionFocalLoss', loss_weight=0.25),
        loss_bbox=dict(type='GIoULoss', loss_weight=2.0)),
    train_cfg=dict(
        # This radius takes away what NanoDet's assigner does not have, see NanoDetPlusHead.assign.
        assigner=dict(type='DynamicSoftLabelAssigner', topk=13, iou_weight=3.0, soft_center_radius=1000.0),
        # In training only: an auxiliary neck and head.
        assign_guidance=dict(stacked_convs=4)),
    test_cfg=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.6), max_per_img=100))

custom_hooks = [
    # The influence of the guidance ends after ten epochs.
    dict(type='AssignGuidanceHook', switch_epoch=10),
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.0002, gamma=2000, update_buffers=True, priority=49),
]
