# COCO at 1333x800 with the standard 1x schedule; base of all detectors on COCO.
_base_ = [
    'mmdet::_base_/datasets/coco_detection.py',
    'mmdet::_base_/schedules/schedule_1x.py',
    'mmdet::_base_/default_runtime.py',
]
# Registers ShuffleNetV2 when the config is read. For MMDetection's tools: python -m mmdet_shufflenetv2 run TOOL.
custom_imports = dict(imports=['mmdet_shufflenetv2'], allow_failed_imports=False)

# These three belong together: learning rates are for 16 images per step, and MMEngine scales them to the batch size of
# the run (images per GPU x GPUs).
train_dataloader = dict(batch_size=8, num_workers=4)
auto_scale_lr = dict(enable=True, base_batch_size=16)

val_evaluator = dict(classwise=True)
test_evaluator = dict(classwise=True)

# The latest checkpoints and the best one; a 1x run has 12.
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=3, save_best='coco/bbox_mAP'))
