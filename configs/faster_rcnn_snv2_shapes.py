# Faster R-CNN, thinned for two CPU cores, on the built-in Shapes: what `make demo` runs.
_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', './_base_/shapes.py']

model = dict(
    backbone=dict(_delete_=True, type='ShuffleNetV2', widen_factor=1.0, out_indices=(0, 1, 2, 3)),
    neck=dict(in_channels=[24, 116, 232, 464], out_channels=64, norm_cfg=dict(type='BN')),
    rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64),
        bbox_head=dict(in_channels=64, fc_out_channels=256, num_classes=5)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=300, max_per_img=150),
        rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=100)))
