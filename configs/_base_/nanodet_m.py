# NanoDet-m without data. https://github.com/RangiLyu/nanodet, config/legacy_v0.x_configs/nanodet-m.yml
model = dict(
    type='NanoDet',
    # BGR, and the border that CenterPad adds is 0 once normalized.
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[103.53, 116.28, 123.675],
        std=[57.375, 57.12, 58.395],
        bgr_to_rgb=False,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='ShuffleNetV2', widen_factor=1.0, out_indices=(1, 2, 3), act_cfg=dict(type='LeakyReLU', negative_slope=0.1)
    ),
    neck=dict(type='LightPAN', in_channels=[116, 232, 464], out_channels=96),
    bbox_head=dict(
        type='NanoDetHead',
        num_classes=80,
        in_channels=96,
        anchor_generator=dict(
            type='AnchorGenerator',
            ratios=[1.0],
            octave_base_scale=5,
            scales_per_octave=1,
            center_offset=0.5,
            strides=[8, 16, 32],
        ),
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0, loss_weight=1.0),
        loss_dfl=dict(type='DistributionFocalLoss', loss_weight=0.25),
        loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
    ),
    train_cfg=dict(assigner=dict(type='ATSSAssigner', topk=9), allowed_border=-1, pos_weight=-1, debug=False),
    test_cfg=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.6), max_per_img=100),
)
