# Light-Head R-CNN, thinned for two CPU cores and trained from scratch, on the built-in Shapes.
_base_ = ['./_base_/light_head_rcnn.py', './_base_/shapes.py']

stride = 8  # one map has to do for all objects, down to 20 pixels: stage3 and stage4 dilate

model = dict(
    backbone=dict(
        type='ShuffleNetV2', widen_factor=0.5, out_indices=(2, 3), strides=(2, 1, 1), dilations=(1, 2, 4)),
    neck=dict(in_channels=192, kernel_size=9),
    rpn_head=dict(
        in_channels=96, feat_channels=64, anchor_generator=dict(scales=[2.5, 4, 6.5, 10], strides=[stride])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[stride]), bbox_head=dict(fc_out_channels=256, num_classes=5)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=200, max_per_img=100), rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=50)))
