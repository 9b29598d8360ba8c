# Overfitting test: Faster R-CNN at 320 pixels with a backbone pre-trained on COCO, fine-tuned and evaluated on the same
# 50 images of train2017. A bug in data, model or evaluation shows as a low AP.
#
# Set SNV2_WEIGHTS to the backbone's checkpoint.
_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', './_base_/memorise.py']

model = dict(
    # NanoDet-m's backbone: BGR input and LeakyReLU, batch norms fused into the convolutions.
    data_preprocessor=dict(mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395], bgr_to_rgb=False),
    backbone=dict(
        _delete_=True,
        type='ShuffleNetV2',
        widen_factor=1.0,
        out_indices=(0, 1, 2, 3),
        act_cfg=dict(type='LeakyReLU', negative_slope=0.1),
        norm_eval=True,
        init_cfg=dict(
            type='Pretrained', checkpoint='{{$SNV2_WEIGHTS:checkpoints/shufflenetv2_x1_0_leakyrelu_nanodet_m.pth}}'
        ),
    ),
    neck=dict(in_channels=[24, 116, 232, 464], out_channels=96, norm_cfg=dict(type='BN')),
    rpn_head=dict(in_channels=96, feat_channels=96, anchor_generator=dict(scales=[4])),
    roi_head=dict(bbox_roi_extractor=dict(out_channels=96), bbox_head=dict(in_channels=96, fc_out_channels=512)),
    train_cfg=dict(rpn_proposal=dict(nms_pre=500, max_per_img=250), rcnn=dict(sampler=dict(num=128))),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=250)),
)
