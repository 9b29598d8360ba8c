# Light-Head R-CNN on ShuffleNet V2 1.0x: a row of table 7 of the ShuffleNet V2 paper. The backbone is the authors'
# network, which has the table's multiply-adds. Save its ImageNet weights, the authors' or your own, under the path in
# init_cfg; see docs/light_head.md.
_base_ = ['./_base_/light_head_rcnn.py', './_base_/coco_light_head.py']

model = dict(
    # The authors' network expects BGR from 0 to 255.
    data_preprocessor=dict(mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0], bgr_to_rgb=False),
    backbone=dict(
        type='ShuffleNetV2',
        variant='authors',
        widen_factor=1.0,
        out_indices=(2, 3),
        strides=(2, 2, 1),  # stage4 keeps stride 16 and is dilated instead
        dilations=(1, 1, 2),
        frozen_stages=0,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/imagenet_shufflenet_v2_1.0x.pth'),
    ),
    neck=dict(in_channels=464),
    rpn_head=dict(in_channels=232),
)
