_base_ = './shufflenet_v2_torchvision_0.5x.py'

model = dict(backbone=dict(widen_factor=1.0))
