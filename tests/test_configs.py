"""Every config builds its detector."""

import functools
import math

import pytest
import torch
from conftest import ROOT
from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config

from mmdet_shufflenetv2 import ShuffleNetV2
from mmdet_shufflenetv2.profiling.complexity import detector_complexity

CONFIGS = sorted((ROOT / 'configs').glob('*_snv2*.py'))
COCO_CONFIGS = [path for path in CONFIGS if 'shapes' not in path.stem and 'nanodet' not in path.stem]
WIDTHS = {'0.5x': 0.5, '1.5x': 1.5, '2.0x': 2.0}
# Input, learning rate for 16 images and epochs.
SCHEDULES = {
    'faster_rcnn': ((1333, 800), 0.02, 12),
    'retinanet': ((1333, 800), 0.01, 12),
    'light_head_rcnn': ((1200, 800), 0.01, 20),  # the two papers'
    'light_head_rcnn_snv2_1x': ((1200, 800), 0.01, 12),
}
HEIGHT, WIDTH = 96, 128

register_all_modules()


@functools.cache
def read(path):
    return Config.fromfile(path)


@pytest.fixture(scope='class')
def detector(path):
    with torch.device('meta'):  # shapes alone, nothing is computed
        return MODELS.build(read(path).model).eval()


@pytest.fixture(scope='class')
def features(detector):
    with torch.no_grad():
        return detector.extract_feat(torch.rand(1, 3, HEIGHT, WIDTH, device='meta'))


def sizes(strides):
    return [(math.ceil(HEIGHT / stride), math.ceil(WIDTH / stride)) for stride in strides]


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem, scope='class')
class TestEveryConfig:
    def test_config_registers_the_plugin_and_builds(self, path, detector):
        assert read(path).custom_imports.imports == ['mmdet_shufflenetv2']
        assert isinstance(detector.backbone, ShuffleNetV2)

    def test_strides_of_heads_match_the_features(self, detector, features):
        one_stage = isinstance(detector, SingleStageDetector)
        head = detector.bbox_head if one_stage else detector.rpn_head
        with torch.no_grad():
            scores = head(features)[0]
        # A level's stride is that of its anchors, or they stand in wrong places.
        assert [tuple(s.shape[2:]) for s in scores] == sizes(stride for stride, _ in head.prior_generator.strides)
        if not one_stage:
            extractor = detector.roi_head.bbox_roi_extractor
            seen = features[: extractor.num_inputs]
            assert [tuple(f.shape[2:]) for f in seen] == sizes(extractor.featmap_strides)


@pytest.mark.parametrize('path', COCO_CONFIGS, ids=lambda path: path.stem)
def test_coco_config_has_weights_of_its_network(path):
    from mmengine.runner.checkpoint import get_torchvision_models

    cfg = read(path)
    backbone = cfg.model.backbone
    width = next((value for name, value in WIDTHS.items() if name in path.stem), 1.0)
    assert backbone.widen_factor == width
    assert backbone.get('large_receptive_field', False) == ('star' in path.stem)
    seen = cfg.model.data_preprocessor
    if backbone.get('variant', 'torchvision') == 'torchvision':
        assert (seen.mean, seen.bgr_to_rgb) == ([123.675, 116.28, 103.53], True)
        name = backbone.init_cfg.checkpoint.removeprefix('torchvision://')
        assert str(width).replace('.', '_') in name
        assert name in get_torchvision_models()
    else:  # the authors' release saw blue, green, red as they come; nobody offers it for download by name
        assert (seen.mean, seen.std, seen.bgr_to_rgb) == ([0.0] * 3, [1.0] * 3, False)
        network = 'shufflenet_v2_star' if 'star' in path.stem else 'shufflenet_v2'
        assert backbone.init_cfg.checkpoint == f'checkpoints/imagenet_{network}_{width}x.pth'


@pytest.mark.parametrize('path', COCO_CONFIGS, ids=lambda path: path.stem)
def test_coco_config_keeps_its_schedule(path):
    cfg = read(path)
    scale, rate, epochs = SCHEDULES.get(path.stem) or SCHEDULES[path.stem.split('_snv2')[0]]
    pipelines = [cfg[f'{split}_dataloader'].dataset.pipeline for split in ('train', 'val', 'test')]
    assert [step.scale for steps in pipelines for step in steps if step.type == 'Resize'] == [scale] * 3
    assert cfg.optim_wrapper.optimizer.lr == rate
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[-1].end == epochs
    assert cfg.param_scheduler[-1].milestones[-1] < epochs
    assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=16)


@pytest.mark.parametrize('path', [p for p in COCO_CONFIGS if p.stem.endswith(tuple(WIDTHS))], ids=lambda p: p.stem)
def test_width_variant_has_only_entries_that_differ(path):
    assert len(path.read_text().splitlines()) <= 10


@pytest.mark.parametrize('name', ['faster_rcnn_snv2', 'retinanet_snv2'])
def test_lite_detector_has_a_fifth_of_the_multiply_adds_outside_the_backbone(name):
    heavy, lite = (detector_complexity(ROOT / 'configs' / f'{stem}.py', 128, 160) for stem in (name, f'{name}_lite'))
    assert lite.backbone_multiply_adds == heavy.backbone_multiply_adds
    outside = [row.multiply_adds - row.backbone_multiply_adds for row in (heavy, lite)]
    assert outside[0] >= 5 * outside[1]


@pytest.mark.parametrize(
    ('name', 'batch', 'rate', 'scales'),
    [
        ('nanodet_m_snv2', 192, 0.14, (0.5, 1.4)),
        ('nanodet_plus_m_snv2', 96, 0.001, (0.6, 1.4)),
        ('nanodet_plus_m_snv2_1.5x', 96, 0.001, (0.6, 1.4)),
    ],
)
def test_nanodet_at_416_differs_from_320_only_in_sizes_and_scales(name, batch, rate, scales):
    small, large = (Config.fromfile(ROOT / 'configs' / f'{name}{suffix}.py') for suffix in ('', '_416'))
    assert large.model == small.model
    for name in ('train_pipeline', 'test_pipeline'):
        for a, b in zip(small[name], large[name], strict=True):
            for key, value in a.items():
                expected = {'scale': (416, 416), 'size': (416, 416), 'scaling_ratio_range': scales}.get(key, value)
                assert b[key] == expected, key
    for split in ('train', 'val', 'test'):
        name = 'train_pipeline' if split == 'train' else 'test_pipeline'
        assert large[f'{split}_dataloader'].dataset.pipeline == large[name]
        assert small[f'{split}_dataloader'].dataset.pipeline == small[name]
    assert small.auto_scale_lr == dict(enable=True, base_batch_size=batch)
    assert small.optim_wrapper.optimizer.lr == rate
