# RetinaNet on ShuffleNet V2 1.0x with a light head: a quarter of the channels in FPN and towers. Layers with few
# channels need norms to train. Each level has its own norms, which are fused into the convolutions for deployment.
_base_ = './retinanet_snv2.py'

model = dict(
    neck=dict(out_channels=64, add_extra_convs='on_output', norm_cfg=dict(type='BN')),
    bbox_head=dict(type='RetinaSepBNHead', num_ins=5, in_channels=64, feat_channels=64, norm_cfg=dict(type='BN')),
)
