# Checks that fine-tuning does not reduce the AP of published weights: NanoDet-m, trained for some epochs on 50 images
# of COCO's train2017 and evaluated on 50 of val2017.
#
# Set COCO_TINY to the data set's folder (COCO's layout), and NANODET_M to NanoDet's checkpoint for 320 pixels.
_base_ = '../../configs/nanodet_m_snv2.py'

data_root = '{{$COCO_TINY:data/coco_tiny}}/'
load_from = '{{$NANODET_M:checkpoints/nanodet_m.ckpt}}'

# Fused norms have no statistics and must not be updated. 50 images are too few to train the backbone.
model = dict(backbone=dict(norm_eval=True, frozen_stages=3, init_cfg=None), bbox_head=dict(norm_eval=True))

train_pipeline = [step for step in _base_.train_pipeline if step['type'] not in ('ColorDistortion', 'RandomAffine')]
train_dataloader = dict(batch_size=10, num_workers=2, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator

max_epochs = 20
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=0.00003, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=10),
    dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, convert_to_iter_based=True),
]
auto_scale_lr = dict(enable=False)
randomness = dict(seed=0)
default_hooks = dict(logger=dict(interval=5), checkpoint=dict(interval=max_epochs))
