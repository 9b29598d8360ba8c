import pytest
from conftest import ROOT
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from torch import nn

from mmdet_shufflenetv2.config.access import datasets_of
from mmdet_shufflenetv2.config.classes import apply_prepared_data, class_heads, set_classes
from mmdet_shufflenetv2.config.load import load_config
from mmdet_shufflenetv2.data.prepared import Prepared
from mmdet_shufflenetv2.visualization import class_color

CONFIGS = [
    'faster_rcnn_snv2',
    'faster_rcnn_snv2_lite',
    'retinanet_snv2',
    'retinanet_snv2_lite',
    'light_head_rcnn_snv2',
    'nanodet_m_snv2',
]
PACKAGED = [
    'mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py',
    'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
    'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
]


@pytest.mark.parametrize('config', CONFIGS + PACKAGED)
def test_every_head_of_the_built_detector_has_the_classes(config):
    register_all_modules(init_default_scope=True)
    cfg = load_config(config if '::' in config else ROOT / 'configs' / f'{config}.py')
    set_classes(cfg, ['a', 'b', 'c'])
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    numbers = {
        name: module.num_classes
        for name, module in model.named_modules()
        if isinstance(getattr(module, 'num_classes', None), int) and 'rpn' not in name and 'loss' not in name
    }
    assert numbers
    assert set(numbers.values()) == {3}, numbers
    # No layer that is as wide as COCO's 80 classes, or 81 with the background, is left.
    outputs = {
        len(module.weight)
        for name, module in model.named_modules()
        if 'head' in name and isinstance(module, (nn.Linear, nn.Conv2d))
    }
    assert not outputs & {80, 81, 320, 720}


def test_finds_heads_with_default_num_classes_but_no_rpn():
    register_all_modules(init_default_scope=True)
    model = dict(
        type='FasterRCNN',
        rpn_head=dict(type='RPNHead', num_classes=1),
        roi_head=dict(
            type='StandardRoIHead', bbox_head=[dict(type='Shared2FCBBoxHead'), dict(type='BBoxHead', num_classes=80)]
        ),
    )
    assert list(class_heads(model)) == model['roi_head']['bbox_head']


def test_data_sets_and_metrics_change_but_pipelines_do_not():
    cfg = load_config(ROOT / 'configs' / 'faster_rcnn_snv2.py')
    pipeline = cfg.train_dataloader.dataset.pipeline
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=3, dataset=cfg.train_dataloader.dataset)
    apply_prepared_data(
        cfg, Prepared('COCO', '/data', ('a', 'b'), dict(train=('/t.json', '/train'), val=('/v.json', '/val')))
    )
    train = cfg.train_dataloader.dataset
    assert (train.type, train.times, train.dataset.ann_file) == ('RepeatDataset', 3, '/t.json')
    assert train.dataset.pipeline == pipeline
    assert train.dataset.filter_cfg.filter_empty_gt
    assert cfg.val_dataloader.dataset.data_prefix.img == '/val'
    assert cfg.test_dataloader.dataset.ann_file == '/v.json'  # no test split
    assert cfg.val_evaluator[0].ann_file == cfg.test_evaluator[0].ann_file == '/v.json'
    assert all(tuple(dataset.metainfo.classes) == ('a', 'b') for dataset in datasets_of(cfg) if 'metainfo' in dataset)
    # MMDetection draws a class as this project does.
    assert [tuple(color) for color in train.dataset.metainfo.palette] == [class_color(0), class_color(1)]


def test_metric_of_another_format_is_replaced_by_coco():
    cfg = load_config('mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py')
    apply_prepared_data(
        cfg,
        Prepared('YOLO', '/data', ('a',), dict(train=('/t.json', '/t'), val=('/v.json', '/v'), test=('/x.json', '/x'))),
    )
    assert cfg.test_evaluator[0].type == 'CocoMetric'
    assert cfg.test_evaluator[0].ann_file == cfg.test_dataloader.dataset.ann_file == '/x.json'
    assert cfg.train_dataloader.dataset.dataset.type == 'CocoDataset'
