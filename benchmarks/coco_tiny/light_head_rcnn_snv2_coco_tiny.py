# The same test for Light-Head R-CNN, with a dilated last stage.
#
# Set SNV2_WEIGHTS to the backbone's checkpoint.
_base_ = ['../../configs/_base_/light_head_rcnn.py', './_base_/memorise.py']

model = dict(
    # NanoDet-m's backbone: BGR input and LeakyReLU, batch norms fused into the convolutions.
    data_preprocessor=dict(mean=[103.53, 116.28, 123.675], std=[57.375, 57.12, 58.395], bgr_to_rgb=False),
    backbone=dict(
        type='ShuffleNetV2',
        widen_factor=1.0,
        out_indices=(2, 3),
        strides=(2, 2, 1),
        dilations=(1, 1, 2),
        act_cfg=dict(type='LeakyReLU', negative_slope=0.1),
        norm_eval=True,
        init_cfg=dict(
            type='Pretrained', checkpoint='{{$SNV2_WEIGHTS:checkpoints/shufflenetv2_x1_0_leakyrelu_nanodet_m.pth}}'
        ),
    ),
    neck=dict(in_channels=464),
    rpn_head=dict(in_channels=232, anchor_generator=dict(scales=[1, 2, 4, 8, 16])),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=250),
        rcnn=dict(
            # With little data, a new head learns faster from a fixed share of positives than from the hardest regions.
            sampler=dict(
                _delete_=True, type='RandomSampler', num=128, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=True
            )
        ),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=250)),
)

max_epochs = 100
train_cfg = dict(max_epochs=max_epochs, val_interval=25)
# The thin map has no norm and thousands of inputs per channel, so its learning rate is lower.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(neck=dict(lr_mult=0.2))))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, convert_to_iter_based=True),
]
