# RetinaNet on ShuffleNet V2 1.0x: COCO, 1333x800, 12 epochs.
_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py', './_base_/coco_1x.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='ShuffleNetV2',
        widen_factor=1.0,
        out_indices=(1, 2, 3),  # strides 8 to 32; the FPN adds 64 and 128
        frozen_stages=0,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://shufflenet_v2_x1_0.imagenet1k_v1'),
    ),
    neck=dict(in_channels=[116, 232, 464], start_level=0),
)

# Half of Faster R-CNN's learning rate, as in MMDetection: the focal loss sums over many more anchors.
optim_wrapper = dict(optimizer=dict(lr=0.01))
