# The paper's networks and the recipe of the authors' release (megvii-model/ShuffleNet-Series): 240 epochs, which are
# 300,240 steps of 1024 images; learning rate 0.5 with linear decay to 0; no weight decay of norms and biases.
_base_ = './imagenet.py'

model = dict(backbone=dict(variant='authors'), fc_bias=False, init_cfg=dict(type='AuthorsInit'))

# BGR from 0 to 255 as in the release, so that its weights can be used. Normalization for the data_preprocessor of a
# detector with this backbone:
detector_input = dict(mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0], bgr_to_rgb=False)

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='torchvision/RandomResizedCrop', size=224),
            dict(type='torchvision/ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4),
            dict(type='torchvision/RandomHorizontalFlip'),
            dict(type='torchvision/PILToTensor'),
            dict(type='ToBGR'),
        ]
    )
)
val_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='torchvision/PILToTensor'),
            # Bilinear without antialiasing, as in OpenCV, which the release uses.
            dict(type='torchvision/Resize', size=256, antialias=False),
            dict(type='torchvision/CenterCrop', size=224),
            dict(type='ToBGR'),
        ]
    )
)
test_dataloader = val_dataloader

max_epochs = 240
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=8)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.5, momentum=0.9, weight_decay=4e-5),
    paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0),
)
param_scheduler = dict(
    type='LinearLR',
    start_factor=1.0,
    end_factor=0.0,
    by_epoch=True,
    begin=0,
    end=max_epochs,
    convert_to_iter_based=True,
)
custom_hooks = [dict(type='NormStatisticsHook', num_batches=1250)]
