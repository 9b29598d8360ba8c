# NanoDet-Plus-m trained from scratch on the built-in Shapes, on two CPU cores in minutes.
_base_ = ['./_base_/nanodet_plus_m.py', './_base_/shapes.py']

model = dict(bbox_head=dict(num_classes=5))
