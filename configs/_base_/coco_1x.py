# COCO at 1333x800, the standard 1x schedule. Every detector of this folder starts here.
_base_ = [
    'mmdet::_base_/datasets/coco_detection.py',
    'mmdet::_base_/schedules/schedule_1x.py',
    'mmdet::_base_/default_runtime.py',
]
# Registers ShuffleNetV2 wherever the config is read. MMDetection's own tools: python -m mmdet_shufflenetv2 run TOOL.
custom_imports = dict(imports=['mmdet_shufflenetv2'], allow_failed_imports=False)

# These three belong together: the learning rate of each config stands for 16 images a step, and MMEngine scales it to
# the number that a run really has (images a GPU x GPUs).
train_dataloader = dict(batch_size=8, num_workers=4)
auto_scale_lr = dict(enable=True, base_batch_size=16)

val_evaluator = dict(classwise=True)
test_evaluator = dict(classwise=True)

# The latest checkpoints and the best one; a 1x run has 12.
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=3, save_best='coco/bbox_mAP'))
