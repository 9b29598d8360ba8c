# NanoDet-m at 416x416, as in NanoDet's nanodet-m-416.yml. The network is the same.
_base_ = './nanodet_m_snv2.py'

size = (416, 416)
train_pipeline = _base_.train_pipeline
train_pipeline[2]['scale'] = size
train_pipeline[4]['size'] = size
train_pipeline[5]['scaling_ratio_range'] = (0.5, 1.4)
test_pipeline = _base_.test_pipeline
test_pipeline[1]['scale'] = size
test_pipeline[2]['size'] = size
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['scale'] = size
tta_pipeline[2]['size'] = size

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
