"""Every config builds the detector that it promises."""

import math

import pytest
import torch
from conftest import ROOT
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config

from mmdet_shufflenetv2 import ShuffleNetV2

CONFIGS = sorted((ROOT / 'configs').glob('*_snv2*.py'))
# Those at 1333x800 with the standard 1x schedule.
COCO_CONFIGS = [path for path in CONFIGS if 'shapes' not in path.stem and 'nanodet' not in path.stem]
WIDTHS = {'0.5x': 0.5, '1.5x': 1.5, '2.0x': 2.0}

register_all_modules()


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_builds_and_its_parts_fit(path):
    cfg = Config.fromfile(path)
    assert cfg.custom_imports.imports == ['mmdet_shufflenetv2']
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model).eval()
    backbone = model.backbone
    assert isinstance(backbone, ShuffleNetV2)
    x = torch.rand(1, 3, 256, 320)
    with torch.no_grad():
        features = model.extract_feat(x)
    generator = (model.rpn_head if hasattr(model, 'rpn_head') else model.bbox_head).prior_generator
    # A level's stride is that of its anchors, or they stand in wrong places.
    assert [tuple(f.shape[2:]) for f in features] == [
        (math.ceil(256 / stride), math.ceil(320 / stride)) for stride, _ in generator.strides]


@pytest.mark.parametrize('path', COCO_CONFIGS, ids=lambda path: path.stem)
def test_a_coco_config_names_weights_of_its_own_width(path):
    from mmengine.runner.checkpoint import get_torchvision_models
    cfg = Config.fromfile(path)
    width = next((value for name, value in WIDTHS.items() if name in path.stem), 1.0)
    assert cfg.model.backbone.widen_factor == width
    name = cfg.model.backbone.init_cfg.checkpoint.removeprefix('torchvision://')
    assert str(width).replace('.', '_') in name
    assert name in get_torchvision_models()
    assert cfg.model.data_preprocessor.bgr_to_rgb  # torchvision's weights want RGB and ImageNet's statistics
    assert cfg.model.data_preprocessor.mean == [123.675, 116.28, 103.53]


@pytest.mark.parametrize('path', COCO_CONFIGS, ids=lambda path: path.stem)
def test_a_coco_config_keeps_to_the_standard_schedule(path):
    cfg = Config.fromfile(path)
    assert cfg.train_cfg.max_epochs == 12
    assert cfg.train_pipeline[2].scale == (1333, 800)
    assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=16)
    assert cfg.optim_wrapper.optimizer.lr == (0.02 if 'faster_rcnn' in path.stem else 0.01)


@pytest.mark.parametrize('path', [p for p in COCO_CONFIGS if 'x.py' in p.name], ids=lambda path: path.stem)
def test_a_width_variant_states_only_what_differs(path):
    assert len(path.read_text().splitlines()) <= 10


def test_nanodet_at_416_differs_from_320_in_sizes_and_the_range_of_scales_alone():
    small, large = (Config.fromfile(ROOT / 'configs' / f'nanodet_m_snv2{suffix}.py') for suffix in ('', '_416'))
    assert large.model == small.model
    for name in ('train_pipeline', 'test_pipeline'):
        for a, b in zip(small[name], large[name], strict=True):
            for key, value in a.items():
                expected = {'scale': (416, 416), 'size': (416, 416), 'scaling_ratio_range': (0.5, 1.4)}.get(key, value)
                assert b[key] == expected, key
    for split in ('train', 'val', 'test'):
        name = 'train_pipeline' if split == 'train' else 'test_pipeline'
        assert large[f'{split}_dataloader'].dataset.pipeline == large[name]
        assert small[f'{split}_dataloader'].dataset.pipeline == small[name]
    assert small.auto_scale_lr == dict(enable=True, base_batch_size=192)
    assert small.optim_wrapper.optimizer.lr == 0.14
