_base_ = '../_base_/imagenet_authors.py'

model = dict(backbone=dict(widen_factor=0.5))
