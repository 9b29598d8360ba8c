# Light-Head R-CNN in its small setting (Li et al., arXiv 1711.07264, section 3.2), for backbones with two outputs, here
# both with stride 16: the second last stage (C4) and the last one (C5). Configs based on this one set backbone,
# neck.in_channels (C5) and rpn_head.in_channels (C4). "The code" is the authors' zengarden/light_head_rcnn.
model = dict(
    type='FasterRCNN',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    neck=dict(type='LargeSeparableConv', mid_channels=64, out_channels=490, kernel_size=15),
    rpn_head=dict(
        type='LightHeadRPN',
        feat_channels=256,
        anchor_generator=dict(type='AnchorGenerator', scales=[2, 4, 8, 16, 32], ratios=[0.5, 1.0, 2.0], strides=[16]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.0, 0.0, 0.0, 0.0], target_stds=[1.0, 1.0, 1.0, 1.0]),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='SmoothL1Loss', beta=1 / 9, loss_weight=1.0),
    ),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(type='PSRoIAlignExtractor', out_channels=10, featmap_strides=[16]),
        bbox_head=dict(
            type='ConvFCBBoxHead',
            num_shared_fcs=1,
            in_channels=10,
            fc_out_channels=2048,
            roi_feat_size=7,
            num_classes=80,
            bbox_coder=dict(
                type='DeltaXYWHBBoxCoder', target_means=[0.0, 0.0, 0.0, 0.0], target_stds=[0.1, 0.1, 0.2, 0.2]
            ),
            # One box per class, as in the code; in the paper's text all classes share one box.
            reg_class_agnostic=False,
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            # Doubled, to balance the two losses (section 4.2.1).
            loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=2.0),
        ),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.7,
                neg_iou_thr=0.3,
                min_pos_iou=0.3,
                match_low_quality=True,
                ignore_iof_thr=-1,
            ),
            sampler=dict(type='RandomSampler', num=256, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False),
            # Anchors that extend beyond the image are not trained, as in the code.
            allowed_border=0,
            pos_weight=-1,
            debug=False,
        ),
        rpn_proposal=dict(nms_pre=12000, max_per_img=2000, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.5,
                neg_iou_thr=0.5,
                min_pos_iou=0.5,
                match_low_quality=False,
                ignore_iof_thr=-1,
            ),
            # The code ranks positive and negative regions together by loss. Here positive ones come first, which are
            # few in most images; at most half of the samples are positive, those with the highest loss.
            sampler=dict(type='OHEMSampler', num=256, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=True),
            pos_weight=-1,
            debug=False,
        ),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=6000, max_per_img=1000, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
    ),
)
