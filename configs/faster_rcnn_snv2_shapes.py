# Faster R-CNN with fewer channels, trained from scratch on the built-in Shapes on two CPU cores; `make demo` uses it.
_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', './_base_/shapes.py']

model = dict(
    backbone=dict(_delete_=True, type='ShuffleNetV2', widen_factor=1.0, out_indices=(1, 2, 3)),
    neck=dict(in_channels=[116, 232, 464], out_channels=64, num_outs=3, norm_cfg=dict(type='BN')),
    rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(scales=[2.5, 4], strides=[8, 16, 32])),
    roi_head=dict(
        bbox_roi_extractor=dict(
            out_channels=64,
            featmap_strides=[8, 16, 32],
            finest_scale=40,
            roi_layer=dict(output_size=5, sampling_ratio=1),
        ),
        bbox_head=dict(in_channels=64, fc_out_channels=256, roi_feat_size=5, num_classes=5),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        # Without pre-training the classes take longest to learn, so half of the regions are positive.
        rcnn=dict(sampler=dict(num=64, pos_fraction=0.5)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=50)),
)
