# torchvision's network, input and recipe for its 1.5x and 2.0x weights (pytorch/vision pull request 5906): 600 epochs
# at 176 pixels, cosine schedule after a linear warm-up, TrivialAugment, random erasing, MixUp or CutMix, and repeated
# augmentation with four views. Its 0.5x and 1.0x weights are from ericsun99/Shufflenet-v2-Pytorch, whose recipe is not
# published.
_base_ = './imagenet.py'

model = dict(mixup_alpha=0.2, cutmix_alpha=1.0)

_mean, _std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
# Normalization for the data_preprocessor of a detector with this backbone; MMDetection's default.
detector_input = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)

train_dataloader = dict(
    sampler=dict(_delete_=True, type='RepeatedAugmentationSampler', repeats=4),
    dataset=dict(
        pipeline=[
            dict(type='torchvision/RandomResizedCrop', size=176),
            dict(type='torchvision/RandomHorizontalFlip'),
            dict(type='torchvision/TrivialAugmentWide', interpolation=2),  # bilinear
            dict(type='torchvision/ToTensor'),
            dict(type='torchvision/Normalize', mean=_mean, std=_std),
            dict(type='torchvision/RandomErasing', p=0.1),
        ]
    ),
)
val_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='torchvision/Resize', size=232),
            dict(type='torchvision/CenterCrop', size=224),
            dict(type='torchvision/ToTensor'),
            dict(type='torchvision/Normalize', mean=_mean, std=_std),
        ]
    )
)
test_dataloader = val_dataloader

max_epochs = 600
warmup_epochs = 5
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=10)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.5, momentum=0.9, weight_decay=2e-5),
    paramwise_cfg=dict(norm_decay_mult=0),
)
param_scheduler = [
    # MMEngine reaches the full learning rate in the last epoch of an interval, here the first one after the warm-up.
    dict(type='LinearLR', start_factor=0.01, by_epoch=True, begin=0, end=warmup_epochs + 1),
    dict(
        type='CosineAnnealingLR', T_max=max_epochs - warmup_epochs, by_epoch=True, begin=warmup_epochs, end=max_epochs
    ),
]
