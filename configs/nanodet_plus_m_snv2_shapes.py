# NanoDet-Plus-m trained from scratch on the built-in Shapes, on two CPU cores in minutes.
_base_ = ['./_base_/nanodet_plus_m.py', './_base_/shapes.py']

# The guidance has two convolutions per tower instead of four, because it takes most of the time.
model = dict(bbox_head=dict(num_classes=5), train_cfg=dict(assign_guidance=dict(stacked_convs=2)))
