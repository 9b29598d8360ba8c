import pytest
import torch
from conftest import ROOT
from mmengine.config import Config

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.paper.design_check import check
from mmdet_shufflenetv2.paper.design_check.check import build_backbone, check_designs
from mmdet_shufflenetv2.paper.design_check.latency import LatencyModel
from mmdet_shufflenetv2.profiling.complexity import detector_complexity
from mmdet_shufflenetv2.profiling.memory_access import Kind

OURS = ROOT / 'configs' / 'retinanet_snv2_0.5x.py'
MODEL = LatencyModel({'operation': 1e-5, 'multiply-add': 1e-10, 'depthwise': 1e-9} | dict.fromkeys(Kind, 1e-9), 0.1)


@pytest.fixture
def calibrated(monkeypatch):
    monkeypatch.setattr(check, 'calibration_networks', lambda device: [])
    monkeypatch.setattr(check, 'fit', lambda *args: MODEL)


def test_backbones_are_counted_predicted_and_timed(calibrated):
    mmdet = 'mmdet::ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py'
    ours, theirs = check_designs([OURS, mmdet], height=64, width=96, rounds=2, progress=False).checked
    assert (ours.config, ours.backbone, theirs.backbone) == ('retinanet_snv2_0.5x', 'ShuffleNetV2', 'MobileNetV2')
    assert ours.multiply_adds == detector_complexity(OURS, 64, 96).backbone_multiply_adds
    for checked in (ours, theirs):
        assert 0 < sum(checked.total(guideline)[2] for guideline in ('G1', 'G2', 'G3', 'G4')) < checked.predicted
        assert checked.measured.median > 0
        assert checked.depthwise_elements < checked.elements[Kind.CONVOLUTION]
        assert checked.times[Kind.CONVOLUTION] > 0
    # MobileNet V2 has a larger share of memory accesses above the lower bound.
    assert theirs.total('G1')[1] / theirs.elements[Kind.CONVOLUTION] > 4 * (
        ours.total('G1')[1] / ours.elements[Kind.CONVOLUTION]
    )


def test_linear_layers_of_a_transformer_count_as_convolutions(calibrated):
    [swin] = check_designs(
        ['mmdet::swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py'], height=96, width=96, rounds=1, progress=False
    ).checked
    # The embedding of 4x4 patches (24x24 positions) is the only convolution.
    assert swin.elements[Kind.CONVOLUTION] == 3 * 96 * 96 + 96 * 24 * 24 + 96 * 3 * 4 * 4
    linear = sum(
        module.weight.numel()
        for module in build_backbone('mmdet::swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py').modules()
        if isinstance(module, torch.nn.Linear)
    )
    assert swin.mac > linear > 25e6
    widening = [entry for entry in swin.violations if entry.what == 'linear, 96 -> 384 channels']
    assert len(widening) == 2  # the first stage has two blocks
    assert swin.times[Kind.MATRIX_PRODUCT] > swin.times[Kind.OTHER]


@pytest.mark.parametrize('config', [OURS, 'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'])
def test_fused_norms_do_not_change_the_features(config):
    from mmdet.registry import MODELS

    from mmdet_shufflenetv2.config.load import load_config

    torch.manual_seed(0)
    fuse_conv_bn = build_backbone(config)
    torch.manual_seed(0)
    cfg = load_config(config).model.backbone
    plain = MODELS.build(cfg | dict(init_cfg=None))
    plain.eval()
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in fuse_conv_bn.modules())
    x = torch.rand(1, 3, 64, 64)
    for ours, theirs in zip(fuse_conv_bn(x), plain(x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_backbone_is_built_without_downloading_weights():
    assert 'Pretrained' not in str(build_backbone('mmdet::retinanet/retinanet_r18_fpn_1x_coco.py').init_cfg)


@pytest.fixture
def written(tmp_path):
    def write(**model):
        path = tmp_path / 'config.py'
        Config(dict(model=model)).dump(path)
        return path

    return write


@pytest.mark.parametrize(
    ('model', 'words'),
    [
        (dict(type='DDQDETR', neck=dict(type='FPN')), 'config.py has no backbone: .*DDQDETR.*neck'),
        (dict(type='RetinaNet', backbone=dict(type='NoNet')), 'NoNet'),
        (dict(type='RetinaNet', backbone=dict(type='ResNet', depth=18, wide=2)), 'wide'),
    ],
)
def test_a_config_without_a_valid_backbone_is_reported(written, model, words):
    with pytest.raises(UserError, match=words):
        build_backbone(written(**model))


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(device='nowhere'), 'device=nowhere'),
        (dict(rounds=0), 'rounds=0'),
        (dict(height=0), 'shape=0 64'),
        (dict(height=1, width=1, config='mmdet::vgg'), 'mmdet::vgg'),
    ],
)
def test_invalid_arguments_are_reported(calibrated, options, words):
    options = dict(height=64, width=64, progress=False) | options
    with pytest.raises(UserError, match=words):
        check_designs([options.pop('config', OURS)], **options)


def test_an_image_that_the_backbone_cannot_read_is_reported(calibrated, written):
    config = written(type='RetinaNet', backbone=dict(type='ResNet', depth=18, in_channels=4))
    with pytest.raises(UserError, match='cannot read an image of 64x64 pixels: '):
        check_designs([config], height=64, width=64, progress=False)
