_base_ = './shufflenet_v2_0.5x.py'

model = dict(backbone=dict(large_receptive_field=True))
