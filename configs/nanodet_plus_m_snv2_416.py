# NanoDet-Plus-m at 416x416, as in NanoDet's nanodet-plus-m_416.yml. The network is the same.
_base_ = './nanodet_plus_m_snv2.py'

size = (416, 416)
train_pipeline = _base_.train_pipeline
train_pipeline[2]['scale'] = size
test_pipeline = _base_.test_pipeline
test_pipeline[1]['scale'] = size

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
