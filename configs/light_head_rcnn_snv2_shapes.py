# Light-Head R-CNN with fewer channels, trained from scratch on the built-in Shapes on two CPU cores.
_base_ = ['./_base_/light_head_rcnn.py', './_base_/shapes.py']

model = dict(
    # Shapes are 20 to 80 pixels wide: regions are proposed at stride 8 and classified at stride 16.
    backbone=dict(type='ShuffleNetV2', widen_factor=1.0, out_indices=(2, 3), strides=(2, 1, 2)),
    neck=dict(in_channels=464, kernel_size=9),
    rpn_head=dict(in_channels=232, feat_channels=64, anchor_generator=dict(scales=[2.5, 4, 6.5, 10], strides=[8])),
    roi_head=dict(bbox_head=dict(fc_out_channels=256, num_classes=5)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(
            # Without pre-training every region is hard: half of them are positive, and negatives are sampled at random.
            sampler=dict(
                _delete_=True, type='RandomSampler', num=64, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=True
            )
        ),
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=50)),
)

# Half as many images per step as the other Shapes detectors, so twice as many steps.
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(
    # The thin map has no norm and thousands of inputs per channel, so its learning rate is lower.
    optimizer=dict(lr=0.002),
    paramwise_cfg=dict(custom_keys=dict(neck=dict(lr_mult=0.2))),
)
auto_scale_lr = dict(base_batch_size=4)
