# NanoDet-Plus-m without data: NanoDet-m with another neck, head and assignment.
# https://github.com/RangiLyu/nanodet, config/nanodet-plus-m_320.yml
_base_ = './nanodet_m.py'

model = dict(
    type='NanoDetPlus',
    neck=dict(type='GhostPAN'),
    bbox_head=dict(
        type='NanoDetPlusHead', feat_channels=96, anchor_generator=dict(center_offset=0.0, strides=[8, 16, 32, 64])
    ),
    train_cfg=dict(
        _delete_=True,
        # This radius disables the soft center prior, which NanoDet's assigner lacks, see NanoDetPlusHead.assign.
        assigner=dict(type='DynamicSoftLabelAssigner', topk=13, iou_weight=3.0, soft_center_radius=1000.0),
        # Only for training: an auxiliary neck and head.
        assign_guidance=dict(stacked_convs=4),
    ),
)

custom_hooks = [
    # After ten epochs, gradients of the guidance no longer reach the detector.
    dict(type='AssignGuidanceHook', switch_epoch=10),
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.0002, gamma=2000, update_buffers=True, priority=49),
]
