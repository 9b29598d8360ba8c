# Light-Head R-CNN on ShuffleNet V2 1.0x: a row of table 7 of the ShuffleNet V2 paper. Its multiply-adds are those of
# the authors' own network, so that is the one here. Put its ImageNet weights, the authors' or of a run of your own,
# where init_cfg says; see docs/light_head.md.
_base_ = ['./_base_/light_head_rcnn.py', './_base_/coco_light_head.py']

model = dict(
    # The authors' network wants blue, green, red from 0 to 255.
    data_preprocessor=dict(mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0], bgr_to_rgb=False),
    backbone=dict(
        type='ShuffleNetV2',
        variant='authors',
        widen_factor=1.0,
        out_indices=(2, 3),
        strides=(2, 2, 1),  # stage4 stays at stride 16 and dilates instead
        dilations=(1, 1, 2),
        frozen_stages=0,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/imagenet_shufflenet_v2_1.0x.pth'),
    ),
    neck=dict(in_channels=464),
    rpn_head=dict(in_channels=232),
)
