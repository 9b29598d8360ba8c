_base_ = '../_base_/imagenet_torchvision.py'

model = dict(backbone=dict(widen_factor=1.5))
