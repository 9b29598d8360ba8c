# ImageNet at 224 pixels: base of all recipes, which add their pipelines and schedules.
default_scope = 'mmdet'
custom_imports = dict(imports=['mmdet_shufflenetv2'], allow_failed_imports=False)

model = dict(
    type='ImageClassifier',
    backbone=dict(type='ShuffleNetV2', out_indices=(4,)),  # conv5
    num_classes=1000,
    label_smoothing=0.1,
)

_data = dict(type='ImageFolder', data_root='data/imagenet/')
# These belong together: learning rates are for 1024 images per step, such as 128 on each of 8 GPUs, and MMEngine scales
# them to the batch size of the run.
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    pin_memory=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**_data, split='train'),
)
auto_scale_lr = dict(enable=True, base_batch_size=1024)

val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    drop_last=False,
    pin_memory=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**_data, split='val'),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='TopKAccuracy')
test_evaluator = val_evaluator
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=3, save_best='accuracy/top1'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
env_cfg = dict(
    cudnn_benchmark=True, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl')
)
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
