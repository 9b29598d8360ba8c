_base_ = './shufflenet_v2_2.0x.py'

model = dict(backbone=dict(large_receptive_field=True))
