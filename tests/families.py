"""Detectors of MMDetection with ShuffleNet V2 as backbone: one config per family, and how its neck is wired.

python tests/families.py                        # the table in docs/detectors.md
python tests/families.py --export photo.jpg     # exported, compared, and timed on one thread, 640 pixels wide
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from torch import nn
from torch.nn.functional import avg_pool2d

FPN, LAST_THREE = (0, 1, 2, 3), (1, 2, 3)
CHANNELS = {0.5: (24, 48, 96, 192, 1024), 1.0: (24, 116, 232, 464, 1024)}


class Family(NamedTuple):
    """A config of MMDetection and the backbone outputs that its neck takes."""

    config: str
    out_indices: tuple[int, ...] = FPN
    #: Other changes that the config needs, as ``--cfg-options`` would give them.
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed
    with_masks: bool = False
    #: Height and width of the test's images; DINO picks 900 places and wants as many.
    size: tuple[int, int] = (128, 160)


FAMILIES = {
    'Faster R-CNN': Family('faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'),
    'Cascade R-CNN': Family('cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py'),
    'Mask R-CNN': Family('mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', with_masks=True),
    'Grid R-CNN': Family('grid_rcnn/grid-rcnn_r50_fpn_gn-head_2x_coco.py'),
    'Faster R-CNN, CARAFE FPN': Family('carafe/faster-rcnn_r50_fpn-carafe_1x_coco.py'),
    'Sparse R-CNN': Family('sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py'),
    'RetinaNet': Family('retinanet/retinanet_r50_fpn_1x_coco.py'),
    'GA-RetinaNet (deformable, masked convolution)': Family('guided_anchoring/ga-retinanet_r50_fpn_1x_coco.py'),
    'FCOS': Family('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'),
    'ATSS': Family('atss/atss_r50_fpn_1x_coco.py'),
    'ATSS, DyHead (modulated deformable)': Family('dyhead/atss_r50_fpn_dyhead_1x_coco.py'),
    'GFL': Family('gfl/gfl_r50_fpn_1x_coco.py'),
    'RepPoints (deformable)': Family('reppoints/reppoints-moment_r50_fpn-gn_head-gn_1x_coco.py'),
    'VFNet (deformable)': Family('vfnet/vfnet_r50_fpn_1x_coco.py'),
    'TOOD (deformable)': Family('tood/tood_r50_fpn_1x_coco.py'),
    'CenterNet': Family('centernet/centernet_r18_8xb16-crop512-140e_coco.py', (3,), {'model.neck.in_channels': 192}),
    'YOLOX': Family('yolox/yolox_s_8xb8-300e_coco.py', LAST_THREE, {'model.data_preprocessor.batch_augments': None}),
    'RTMDet': Family('rtmdet/rtmdet_s_8xb32-300e_coco.py', LAST_THREE),
    'SSDLite': Family(
        'ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py',
        (2, 3),
        {
            'model.neck.in_channels': (96, 192),
            'model.neck.out_channels': (96, 192, 512, 256, 256, 128),
            'model.bbox_head.in_channels': (96, 192, 512, 256, 256, 128),
        },
    ),
    'Deformable DETR': Family('deformable_detr/deformable-detr_r50_16xb2-50e_coco.py', LAST_THREE),
    'DINO': Family('dino/dino-4scale_r50_8xb2-12e_coco.py', LAST_THREE, size=(192, 256)),
}


def family_model(name: str, widen_factor: float = 0.5) -> Any:
    """The model config of a family with its backbone replaced."""
    import os

    import mmdet

    family = FAMILIES[name]
    cfg = Config.fromfile(os.path.join(mmdet.__path__[0], '.mim', 'configs', family.config))
    channels = [CHANNELS[widen_factor][i] for i in family.out_indices]
    cfg.model.backbone = dict(type='ShuffleNetV2', widen_factor=widen_factor, out_indices=family.out_indices)
    necks = cfg.model.neck if isinstance(cfg.model.neck, list) else [cfg.model.neck]
    necks[0].in_channels = channels
    cfg.merge_from_dict(family.options)
    return cfg.model


def exportable(name: str, scale: tuple[int, int]) -> Any:
    """A detector of a family in eval mode, with random weights and a test pipeline that fits images into ``scale``."""
    from mmdet.registry import MODELS

    torch.manual_seed(0)
    model = MODELS.build(family_model(name)).eval()
    if name == 'Sparse R-CNN':  # its proposals are not boxes without these weights
        model.rpn_head.init_weights()
        for head in model.roi_head.bbox_head:
            torch.nn.init.normal_(head.fc_cls.bias)
    if name == 'YOLOX':  # its boxes are infinite without them
        model.bbox_head.init_weights()
    if name in ('Deformable DETR', 'DINO'):  # their scores are not finite on large images without them
        model.init_weights()
    if name in ('YOLOX', 'RTMDet'):  # their pipelines pad to a square
        model.data_preprocessor.pad_size_divisor = 32
    load, keys = dict(type='LoadImageFromFile'), ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
    resize = dict(type='Resize', scale=scale, keep_ratio=True)
    if name == 'CenterNet':  # its own pipeline resizes nothing
        load['to_float32'], keys = True, (*keys[:-1], 'border')
        resize = dict(
            type='RandomCenterCropPad',
            ratios=None,
            border=None,
            mean=[0, 0, 0],
            std=[1, 1, 1],
            to_rgb=True,
            test_mode=True,
            test_pad_mode=['logical_or', 31],
            test_pad_add_pix=1,
        )
    pipeline = [load, resize, dict(type='PackDetInputs', meta_keys=keys)]
    model.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    model.dataset_meta = dict(classes=tuple(map(str, range(80))))
    return model


class Pyramid(nn.Module):
    """In the position of a backbone, to be quick: an image in several sizes, of as many channels as the backbone's."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.strides = [info.stride for info in backbone.feature_info]
        self.convs = nn.ModuleList(nn.Conv2d(3, info.channels, 1) for info in backbone.feature_info)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(conv(avg_pool2d(x, stride)) for conv, stride in zip(self.convs, self.strides))


def export_table(path: str, rounds: int) -> None:
    """Export each family, and print how the files compare with PyTorch and how long they take on an image."""
    import tempfile

    import cv2

    from mmdet_shufflenetv2.deploy import ExportedDetector
    from mmdet_shufflenetv2.deploy.check import check_detector
    from mmdet_shufflenetv2.deploy.export import export_detector

    image = cv2.imread(path)
    print('| detector | largest difference of scores | onnxruntime | OpenVINO |\n| --- | --- | --- | --- |')
    with tempfile.TemporaryDirectory() as folder:
        for name in FAMILIES:
            model, file = exportable(name, (640, 640)), f'{folder}/{name.replace(" ", "_")}.onnx'
            export_detector(model, file, image, block=16)
            checked = check_detector(model, file, image, path)
            cells = []
            for target in ('onnxruntime', 'openvino'):
                detector = ExportedDetector(file, 1, target)
                seconds = statistics.median(processor_time(detector, image) for _ in range(rounds))
                cells.append(f'{seconds * 1000:.0f} ms')
            print(f'| {name} | {checked.difference:.0e} | {" | ".join(cells)} |', flush=True)


def processor_time(call: Callable[[Any], object], argument: object) -> float:
    """Seconds of processor time of a call, which other processes hardly affect."""
    start = time.process_time()
    call(argument)
    return time.process_time() - start


def main() -> None:
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules

    import mmdet_shufflenetv2  # noqa: F401

    register_all_modules()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--export', metavar='IMAGE')
    parser.add_argument('--rounds', type=int, default=5)
    args = parser.parse_args()
    if args.export:
        return export_table(args.export, args.rounds)
    print('| detector | parameters | backbone parameters | MMDetection config |\n| --- | --- | --- | --- |')
    for name, family in FAMILIES.items():
        model = MODELS.build(family_model(name))
        total, backbone = (sum(p.numel() for p in part.parameters()) for part in (model, model.backbone))
        print(f'| {name} | {total / 1e6:.2f}M | {backbone / 1e6:.2f}M | `{family.config}` |')


if __name__ == '__main__':
    main()
