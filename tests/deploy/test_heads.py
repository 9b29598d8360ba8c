"""Export of every detector of docs/detectors.md, and operators that ONNX lacks, compared with MMDetection's."""

import copy

import mmcv.ops
import numpy as np
import pytest
import torch
from families import FAMILIES, Pyramid, exportable
from mmcv.ops import carafe as mmcv_carafe
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.utils import register_all_modules
from torchvision.ops import deform_conv2d as torchvision_deform_conv2d

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.deploy import ExportedDetector
from mmdet_shufflenetv2.deploy.check import check_detector, matched_detections
from mmdet_shufflenetv2.deploy.export import export_detector
from mmdet_shufflenetv2.deploy.heads import operators

register_all_modules()

#: One of each family of heads and of each operator; the others are slow to trace.
FAST = ('FCOS', 'TOOD (deformable)', 'YOLOX', 'CenterNet')
SIZES = {'DINO': (384, 384)}


def small_detector(name):
    """A detector of a family on a stub of a backbone, with few proposals."""
    model = exportable(name, SIZES.get(name, (96, 64)))
    model.backbone = Pyramid(model.backbone)
    if name == 'SSDLite':
        model.bbox_head.test_cfg.score_thr = 0.0126
    if model.test_cfg and 'rpn' in model.test_cfg and model.test_cfg.rpn:
        model.test_cfg.rpn.update(nms_pre=100, max_per_img=30)
        model.rpn_head.test_cfg.update(nms_pre=100, max_per_img=30)
        model.test_cfg.rcnn.score_thr = model.roi_head.test_cfg.score_thr = 0.0126
    return model


@pytest.mark.parametrize(
    'name', [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in FAMILIES]
)
def test_exports_every_family(name, tmp_path):
    model = small_detector(name)
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    export_detector(model, tmp_path / 'd.onnx', image, block=None)
    other = np.random.default_rng(1).integers(0, 256, (100, 90, 3), np.uint8)
    checked = check_detector(model, tmp_path / 'd.onnx', other, 'it')
    assert checked.difference < 1e-4
    assert checked.found > 0
    assert matched_detections(model, ExportedDetector(tmp_path / 'd.onnx'), other) > 0


@pytest.mark.parametrize('target', ['onnxruntime', 'openvino'])
@pytest.mark.slow
def test_a_second_stage_with_group_norms_runs_where_no_object_is_found(target, tmp_path):
    model = small_detector('Grid R-CNN')
    model.test_cfg.rcnn.score_thr = model.roi_head.test_cfg.score_thr = 1.0
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    export_detector(model, tmp_path / 'd.onnx', image, block=None)
    assert [len(part) for part in ExportedDetector(tmp_path / 'd.onnx', target=target)(image)] == [0, 0, 0]


def test_scores_of_all_classes_are_compared(tmp_path):
    model = small_detector('YOLOX')
    for conv in model.bbox_head.multi_level_conv_cls:
        conv.bias.data[3] -= 2
    other = copy.deepcopy(model)
    for conv in other.bbox_head.multi_level_conv_cls:
        conv.bias.data[3] -= 0.1
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    export_detector(other, tmp_path / 'd.onnx', image, block=None)
    with pytest.raises(UserError, match='scores and boxes: scores differ'):
        check_detector(model, tmp_path / 'd.onnx', image, 'it')


@pytest.mark.parametrize('groups', [1, 2])
@pytest.mark.parametrize('options', [dict(stride=1, padding=1), dict(stride=2, padding=0), dict(padding=2, dilation=2)])
@pytest.mark.parametrize('masked', [False, True])
def test_deformable_convolution_matches_torchvision(options, groups, masked):
    torch.manual_seed(0)
    x, weight = torch.randn(2, 4, 9, 12), torch.randn(6, 4 // groups, 3, 3)
    rows, columns = torch.nn.functional.conv2d(x, weight, groups=groups, **options).shape[2:]
    offset = torch.randn(2, 2 * 2 * 9, rows, columns) * 2
    mask = torch.rand(2, 2 * 9, rows, columns) if masked else None
    expected = torchvision_deform_conv2d(x, offset, weight, mask=mask, **options)
    got = operators.deform_conv2d(x, offset, weight, groups=groups, deform_groups=2, mask=mask, **options)
    assert torch.allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize(('groups', 'scale'), [(1, 2), (2, 3)])
def test_carafe_matches_mmcv(groups, scale):
    torch.manual_seed(0)
    features, masks = torch.randn(2, 4, 5, 6), torch.rand(2, groups * 25, 5 * scale, 6 * scale)
    assert torch.allclose(
        operators.carafe(features, masks, 5, groups, scale), mmcv_carafe(features, masks, 5, groups, scale), atol=1e-5
    )


def test_deformable_attention_matches_mmcv():
    torch.manual_seed(0)
    shapes = torch.tensor([[6, 4], [3, 2]])
    value, locations = torch.randn(2, 30, 3, 8), torch.rand(2, 7, 3, 2, 4, 2) * 1.4 - 0.2
    weights = torch.rand(2, 7, 3, 2, 4)
    expected = mmcv.ops.multi_scale_deform_attn.multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)
    assert torch.allclose(operators.deformable_attention(value, shapes, locations, weights), expected, atol=1e-5)


def test_regions_keep_their_order():
    torch.manual_seed(0)
    extractor = SingleRoIExtractor(dict(type='RoIAlign', output_size=7, sampling_ratio=0), 8, [4, 8, 16, 32])
    features = [torch.randn(1, 8, 64 // stride, 96 // stride) for stride in (1, 2, 4, 8)]
    corner, side = torch.rand(40, 2) * 100, 2 ** (torch.rand(40, 2) * 8)
    rois = torch.cat((torch.zeros(40, 1), corner, corner + side), dim=1)
    assert torch.allclose(operators.extract_rois(extractor, features, rois), extractor(features, rois), atol=1e-5)


def test_operators_are_restored_after_tracing():
    before = copy.copy(vars(mmcv.ops.deform_conv)), torch.linspace, SingleRoIExtractor.forward
    with operators.traceable():
        assert mmcv.ops.deform_conv.deform_conv2d is operators.deform_conv2d
    assert (vars(mmcv.ops.deform_conv), torch.linspace, SingleRoIExtractor.forward) == before
