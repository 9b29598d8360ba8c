_base_ = './shufflenet_v2_1.5x.py'

model = dict(backbone=dict(large_receptive_field=True))
