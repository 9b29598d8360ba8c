_base_ = '../_base_/imagenet_torchvision.py'

model = dict(backbone=dict(widen_factor=0.5))
# torchvision evaluates its weights of 0.5x and 1.0x on images resized to 256 pixels.
val_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='torchvision/Resize', size=256),
            dict(type='torchvision/CenterCrop', size=224),
            dict(type='torchvision/ToTensor'),
            dict(type='torchvision/Normalize', mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        ]
    )
)
test_dataloader = val_dataloader
