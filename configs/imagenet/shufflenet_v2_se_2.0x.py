# Last row of table 8: 2.0x with squeeze-and-excitation.
_base_ = './shufflenet_v2_2.0x.py'

model = dict(backbone=dict(with_se=True))
