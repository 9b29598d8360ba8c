"""Exported files compared with MMDetection, on images of other sizes than in the trace."""

import copy
import json
import re

import numpy as np
import onnx
import pytest
import torch
from conftest import ROOT, SHARED, needs_shared
from families import Pyramid
from mmdet.apis import inference_detector
from mmdet.models.dense_heads import FCOSHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from torch import nn
from torchvision.ops import box_iou

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.config.detector import load_detector
from mmdet_shufflenetv2.data.shapes import draw_image
from mmdet_shufflenetv2.deploy import ExportedDetector, export, export_model, graph
from mmdet_shufflenetv2.deploy.check import _matched, check_detector
from mmdet_shufflenetv2.deploy.export import export_detector
from mmdet_shufflenetv2.deploy.exported import Detections
from mmdet_shufflenetv2.deploy.heads import dense
from mmdet_shufflenetv2.deploy.heads.operators import roi_levels
from mmdet_shufflenetv2.deploy.pipeline import resize_and_padding
from mmdet_shufflenetv2.deploy.targets.openvino import compile_for_cpu
from mmdet_shufflenetv2.models.nanodet import NanoDetHead

SMALL = """
_base_ = ['{root}/configs/{base}.py']
model = dict(backbone=dict(init_cfg=None), {model})
test_pipeline = [
    dict(type='LoadImageFromFile'),
    {resize},
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'padding'))]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
"""
RESIZE = "dict(type='Resize', scale=(192, 128), keep_ratio={})"
WARP = "dict(type='WarpResize', scale=(128, 160))"
LETTERBOX = """dict(type='FitResize', scale=(128, 128)),
    dict(type='CenterPad', size=(128, 128), pad_val=[103.53, 116.28, 123.675])"""
# Random weights have no detections above the usual thresholds.
LOW = 'test_cfg=dict(rcnn=dict(score_thr=0.03), rpn=dict(nms_pre=200, max_per_img=100))'
DETECTORS = {
    'faster_rcnn_snv2_0.5x': LOW,
    'retinanet_snv2_0.5x': 'test_cfg=dict(score_thr=0.9975, nms_pre=300)',
}

LIGHT_DETECTORS = {
    'retinanet_snv2_lite': 'test_cfg=dict(score_thr=0.9985, nms_pre=300, max_per_img=1000)',
    'faster_rcnn_snv2_lite': LOW,
    'light_head_rcnn_snv2_1x': LOW,
    'nanodet_m_snv2': 'test_cfg=dict(score_thr=0.5)',
    'nanodet_plus_m_snv2': 'test_cfg=dict(score_thr=0.5)',
}
# Standard deviation of an untrained layer's outputs: scores should differ, and boxes be near their anchors.
SPREADS = {
    'rpn_cls': 2,
    'rpn_reg': 0.2,
    'retina_cls': 2,
    'retina_reg': 0.2,
    'fc_cls': 2,
    'fc_reg': 0.2,
    'gfl_cls.0': 2,
    'gfl_cls.1': 2,
    'gfl_cls.2': 2,
    'gfl_cls.3': 2,
}


def weights_that_decide(model):
    """Random weights with scores that differ by more than rounding."""
    torch.manual_seed(1)
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        if name.endswith(tuple(SPREADS)):
            nn.init.normal_(module.weight, std=0.05)
            nn.init.zeros_(module.bias)
    meta = dict(img_shape=(192, 192), ori_shape=(192, 192), scale_factor=(1, 1))
    for name, layer in model.named_modules():  # the RPN's first, whose proposals the second stage sees
        target = next((spread for ending, spread in SPREADS.items() if name.endswith(ending)), None)
        if target is None:
            continue
        spread = []
        hook = layer.register_forward_hook(lambda module, args, out, spread=spread: spread.append(out.std()))
        with torch.no_grad():
            batch = model.eval().data_preprocessor(
                dict(
                    inputs=[torch.from_numpy(drawn_image(0, 192)).permute(2, 0, 1)],
                    data_samples=[DetDataSample(metainfo=meta)],
                )
            )
            model(**batch, mode='tensor')
        hook.remove()
        layer.weight.data *= target / spread[0]


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Config and checkpoint of a detector by name."""
    folder = tmp_path_factory.mktemp('export')
    register_all_modules(init_default_scope=True)

    def make(name, keep_ratio=True):
        config, checkpoint = folder / f'{name}_{keep_ratio}.py', folder / f'{name}.pth'
        model = (DETECTORS | LIGHT_DETECTORS)[name]
        resize = (
            WARP
            if name.startswith('nanodet_plus')
            else LETTERBOX
            if name.startswith('nanodet')
            else RESIZE.format(keep_ratio)
        )
        config.write_text(SMALL.format(root=ROOT, base=name, model=model, resize=resize))
        if not checkpoint.is_file():
            torch.manual_seed(0)
            model = MODELS.build(Config.fromfile(config).model)
            model.init_weights()
            weights_that_decide(model)
            torch.save({'state_dict': model.state_dict()}, checkpoint)
        return config, checkpoint

    return make


def drawn_image(seed, size):
    return draw_image(np.random.default_rng(seed), size=size)[0]


def assert_same(got, wanted, iou_threshold, apart=1e-3):
    """Check that two results of one detector match: each box overlaps one of the other with at least its score.

    If scores are nearly equal, rounding decides which of two overlapping boxes NMS keeps, and which boxes are the last.
    Half of NMS's IoU threshold is enough, because the boxes of a letterbox are clipped to the image after NMS.
    """
    assert len(wanted.scores) > 0
    assert (np.diff(got.scores) <= 0).all()
    for one, other in ((got, wanted), (wanted, got)):
        last = other.scores.min(initial=1.0)
        for box, score, label in zip(*one):
            rivals = (other.labels == label) & (other.scores >= score - apart)
            overlap = box_iou(torch.from_numpy(box[None]), torch.from_numpy(other.boxes[rivals]))
            assert score <= last + apart or (overlap >= iou_threshold / 2).any()


def found_by(model, image):
    found = inference_detector(model, image).pred_instances.numpy()
    return Detections(found.bboxes, found.scores, found.labels)


def assert_file_is(path, model, *images):
    """Compare each part on identical inputs, then detections in images."""
    detector = ExportedDetector(path)
    for image in images:
        check_detector(model, path, image, 'it')
        cfg = model.test_cfg.get('rcnn', model.test_cfg)
        assert_same(detector(image), found_by(model, image), cfg.nms.iou_threshold)


@pytest.mark.slow
@pytest.mark.parametrize('name', DETECTORS)
@pytest.mark.parametrize(
    'options',
    [dict(), dict(keep_shuffle=True), dict(target='openvino')],
)
def test_file_matches_pytorch_at_any_image_size(name, options, made, tmp_path):
    config, checkpoint = made(name)
    checked = export_model(config, checkpoint, tmp_path / 'detector.onnx', **options)
    assert checked.found > 0
    model = load_detector(config, checkpoint, 'cpu')
    assert ExportedDetector(tmp_path / 'detector.onnx').classes == tuple(model.dataset_meta['classes'])
    assert_file_is(tmp_path / 'detector.onnx', model, drawn_image(1, 160), drawn_image(2, 300))


@pytest.mark.parametrize('name', LIGHT_DETECTORS)
def test_light_detectors_match_pytorch(name, made, tmp_path):
    config, checkpoint = made(name)
    export_model(config, checkpoint, tmp_path / 'detector.onnx')
    assert_file_is(tmp_path / 'detector.onnx', load_detector(config, checkpoint, 'cpu'), drawn_image(1, 160))


@pytest.mark.slow
def test_resizing_without_aspect_ratio_is_exported(made, tmp_path):
    config, checkpoint = made('retinanet_snv2_0.5x', keep_ratio=False)
    export_model(config, checkpoint, tmp_path / 'detector.onnx')
    assert_file_is(tmp_path / 'detector.onnx', load_detector(config, checkpoint, 'cpu'), drawn_image(4, 250))


@pytest.mark.slow
def test_shuffle_free_file_has_no_channel_transpose(made, tmp_path):
    config, checkpoint = made('retinanet_snv2_0.5x')
    kinds = {}
    for name, options in (('plain', dict(keep_shuffle=True)), ('fast', dict())):
        export_model(config, checkpoint, tmp_path / f'{name}.onnx', **options)
        nodes = onnx.load(tmp_path / f'{name}.onnx').graph.node
        kinds[name] = [node for node in nodes if node.op_type == 'Transpose' and len(node.attribute[0].ints) == 5]
    assert len(kinds['plain']) == 16
    assert kinds['fast'] == []


@pytest.mark.parametrize('options', [dict(), dict(keep_shuffle=True), dict(target='openvino')])
def test_backbone_accepts_any_batch_and_size(options, made, tmp_path):
    import onnxruntime

    config, checkpoint = made('retinanet_snv2_0.5x')
    export_model(config, checkpoint, tmp_path / 'backbone.onnx', backbone_only=True, **options)
    backbone = load_detector(config, checkpoint, 'cpu').backbone
    x = torch.randn(3, 3, 75, 130)
    session = onnxruntime.InferenceSession(tmp_path / 'backbone.onnx', providers=['CPUExecutionProvider'])
    with torch.no_grad():
        for got, wanted in zip(session.run(None, {'x': x.numpy()}), backbone(x), strict=True):
            assert np.abs(got - wanted.numpy()).max() <= 1e-5 * wanted.abs().max()


@pytest.mark.slow
def test_openvino_reads_the_file(made, tmp_path):
    pytest.importorskip('openvino', reason='needs openvino: pip install openvino')
    config, checkpoint = made('faster_rcnn_snv2_0.5x')
    export_model(config, checkpoint, tmp_path / 'detector.onnx')
    image = drawn_image(5, 192)
    expected = ExportedDetector(tmp_path / 'detector.onnx')._run(image)
    got = compile_for_cpu(tmp_path / 'detector.onnx')([image])
    assert_same(*(Detections(dets[:, :4], dets[:, 4], labels) for dets, labels in ((got[0], got[1]), expected)), 0.5)


@needs_shared('weights')
@pytest.mark.parametrize(
    ('config', 'checkpoint'),
    [
        ('nanodet_m_snv2', 'nanodet_m_320'),
        pytest.param('nanodet_m_snv2_416', 'nanodet_m_416', marks=pytest.mark.slow),
        ('nanodet_plus_m_snv2', 'nanodet_plus_m_320'),
        pytest.param('nanodet_plus_m_snv2_1.5x_416', 'nanodet_plus_m_1.5x_416', marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_nanodet_file_matches_on_photographs(config, checkpoint, tmp_path):
    import cv2

    config, checkpoint = ROOT / 'configs' / f'{config}.py', SHARED / 'weights' / f'{checkpoint}.pth'
    export_model(config, checkpoint, tmp_path / 'nanodet.onnx')
    detector, model = ExportedDetector(tmp_path / 'nanodet.onnx'), load_detector(config, checkpoint, 'cpu')
    for path in sorted((SHARED / 'coco_tiny' / 'val2017').iterdir())[:4]:
        image = cv2.imread(str(path))
        assert_same(detector(image), found_by(model, image), 0.6)


@pytest.mark.slow
def test_boxes_without_area_are_dropped_as_in_the_detector(made, tmp_path):
    config, checkpoint = made('retinanet_snv2_0.5x')
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    weights['bbox_head.retina_reg.bias'][0::4] += 1.5  # to the right: many leave the image and are cut to its border
    torch.save({'state_dict': weights}, tmp_path / 'beyond.pth')
    model = load_detector(config, tmp_path / 'beyond.pth', 'cpu')
    model.test_cfg.min_bbox_size = -1
    boxes = inference_detector(model, drawn_image(0, 320)).pred_instances.bboxes
    assert (boxes[:, 0] == boxes[:, 2]).any()
    model.test_cfg.min_bbox_size = 0
    export_model(config, tmp_path / 'beyond.pth', tmp_path / 'd.onnx', cfg_options={'model.test_cfg.min_bbox_size': 0})
    boxes, _, _ = ExportedDetector(tmp_path / 'd.onnx')(drawn_image(0, 320))
    assert (boxes[:, :2] < boxes[:, 2:]).all()


@pytest.mark.parametrize(
    ('name', 'option', 'words'),
    [
        ('retinanet_snv2_0.5x', 'nms.type=soft_nms', "model.test_cfg.nms has type='soft_nms'"),
        ('retinanet_snv2_0.5x', 'min_bbox_size=8', 'model.test_cfg.min_bbox_size=8'),
        ('faster_rcnn_snv2_0.5x', 'rpn.nms.class_agnostic=True', 'model.test_cfg.rpn.nms has class_agnostic=True'),
        ('faster_rcnn_snv2_0.5x', 'rcnn.nms.max_num=5', 'model.test_cfg.rcnn.nms has max_num=5'),
    ],
)
def test_rejects_unsupported_filters(name, option, words, made, tool, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.onnx, 'export', lambda *args, **kwargs: pytest.fail('it was exported'))
    ended = tool('export.py', *made(name), tmp_path / 'd.onnx', '--cfg-options', f'model.test_cfg.{option}')
    assert ended.status == 2
    assert words in ended.err
    assert list(tmp_path.iterdir()) == []


def test_file_that_differs_does_not_replace_an_old_one(made, tmp_path, monkeypatch):
    config, checkpoint = made('retinanet_snv2_0.5x')
    right = export.shuffle_free_detector

    def wrong(model, **kwargs):
        fast = right(model, **kwargs)
        fast.backbone.parts[0].units[0].convs[0].weight.mul_(1.5)
        return fast

    monkeypatch.setattr(export, 'shuffle_free_detector', wrong)
    (tmp_path / 'detector.onnx').write_text('an older export')
    with pytest.raises(UserError, match='do not match the detector'):
        export_model(config, checkpoint, tmp_path / 'detector.onnx')
    assert [path.name for path in tmp_path.iterdir()] == ['detector.onnx']
    assert (tmp_path / 'detector.onnx').read_text() == 'an older export'


@pytest.fixture(scope='module')
def quick(made):
    """Load a detector with another backbone."""
    models = {}

    def load(name):
        if name not in models:
            models[name] = load_detector(*made(name), 'cpu')
            models[name].backbone = Pyramid(models[name].backbone)
        return copy.deepcopy(models[name].eval())

    return load


BREAKS = {}


def breaks(name, words):
    """Register a class that changes one part of a detector's copy, with the part's name in the error."""

    def add(function):
        BREAKS[f'{name} {function.__name__}'] = (name, function, words)
        return function

    return add


@breaks('retinanet_snv2_lite', 'the input')
def channels_exchanged(model, _):
    model.data_preprocessor._channel_conversion = not model.data_preprocessor._channel_conversion


@breaks('retinanet_snv2_lite', 'the input')
def mean_off_by_one(model, _):
    model.data_preprocessor.mean += 1


@breaks('retinanet_snv2_lite', 'scores and boxes: scores differ')
def one_weight(model, _):
    model.bbox_head.retina_cls.weight.data[5] *= 1.01


@breaks('retinanet_snv2_lite', 'features: feature')
def one_weight_of_the_neck(model, _):
    model.neck.lateral_convs[1].conv.weight.data[7] *= 1.05


@breaks('retinanet_snv2_lite', 'scores and boxes: boxes differ')
def one_bias_of_the_boxes(model, _):
    model.bbox_head.retina_reg.bias.data[0] += 0.01


@breaks('retinanet_snv2_lite', 'the input')
def nearest_pixel(model, _):
    model.cfg.test_dataloader.dataset.pipeline[1].interpolation = 'nearest'


@breaks('nanodet_m_snv2', 'the input')
def size_rounded(model, _):
    model.cfg.test_dataloader.dataset.pipeline[1].update(type='Resize', keep_ratio=True)


@breaks('nanodet_m_snv2', 'the input')
def border_of_another_colour(model, _):
    model.cfg.test_dataloader.dataset.pipeline[2].pad_val = (114, 114, 114)


@breaks('retinanet_snv2_lite', 'scores and boxes: boxes differ')
def deltas_scaled(model, _):
    model.bbox_head.bbox_coder.stds = (1.0, 1.0, 0.9, 1.0)


@breaks('nanodet_m_snv2', 'scores and boxes: boxes differ')
def distances_reversed(model, _):
    model.bbox_head.integral.project = model.bbox_head.integral.project.flip(0)


@breaks('retinanet_snv2_lite', 'candidates: ')
def score_threshold(model, _):
    model.test_cfg.score_thr = 0.5


@breaks('retinanet_snv2_lite', 'candidates: ')
def number_before_nms(model, _):
    model.test_cfg.nms_pre = 299


@breaks('retinanet_snv2_lite', 'NMS: found')
def overlap_threshold(model, _):
    model.test_cfg.nms.iou_threshold += 0.05


@breaks('nanodet_m_snv2', 'NMS: found_boxes has the shape .99, 4.')
def number_of_detections(model, _):
    model.test_cfg.max_per_img = 99


@breaks('retinanet_snv2_lite', 'NMS: found')
def class_agnostic(model, monkeypatch):
    right = dense.suppressed
    monkeypatch.setattr(
        dense, 'suppressed', lambda boxes, scores, labels, cfg, classes: right(boxes, scores, labels * 0, cfg, 1)
    )


@breaks('nanodet_m_snv2', 'boxes in the image: dets differ')
def letterbox_not_taken_off(model, monkeypatch):
    right = graph._Prepare.forward
    monkeypatch.setattr(graph._Prepare, 'forward', lambda self, image: (*right(self, image)[:2], torch.zeros(1, 4)))


@breaks('faster_rcnn_snv2_lite', 'NMS: proposals')
def proposals_overlap(model, _):
    model.test_cfg.rpn.nms.iou_threshold -= 0.1


@breaks('faster_rcnn_snv2_lite', 'NMS: proposals has the shape .90, 4.')
def number_of_proposals(model, _):
    model.test_cfg.rpn.max_per_img = 90


@breaks('faster_rcnn_snv2_lite', 'anchors: ')
def least_size_of_proposals(model, _):
    model.test_cfg.rpn.min_bbox_size = 2


@breaks('faster_rcnn_snv2_lite', 'anchors: ')
def anchors_before_nms(model, _):
    model.test_cfg.rpn.nms_pre = 150


@breaks('faster_rcnn_snv2_lite', 'scores and boxes of given RoIs')
def half_a_pixel_of_roi_align(model, _):
    for layer in model.roi_head.bbox_roi_extractor.roi_layers:
        layer.aligned = False


@breaks('light_head_rcnn_snv2_1x', 'scores and boxes of given RoIs')
def stride_of_roi_align(model, _):
    for layer in model.roi_head.bbox_roi_extractor.roi_layers:
        layer.spatial_scale *= 1.02


@breaks('faster_rcnn_snv2_lite', 'scores and boxes of given RoIs: boxes')
def deltas_of_the_second_stage(model, _):
    model.roi_head.bbox_head.bbox_coder.stds = (0.1, 0.1, 0.1, 0.1)


@breaks('faster_rcnn_snv2_lite', 'candidates: ')
def score_threshold_of_the_second_stage(model, _):
    model.test_cfg.rcnn.score_thr = 0.3


@breaks('faster_rcnn_snv2_lite', 'NMS: found')
def overlap_of_the_second_stage(model, _):
    model.test_cfg.rcnn.nms.iou_threshold += 0.1


@pytest.mark.parametrize(
    'broken',
    # Two-stage detectors take twice as long.
    [pytest.param(key, marks=pytest.mark.slow if 'rcnn' in key else ()) for key in BREAKS],
)
def test_rejects_graph_with_one_wrong_part(broken, quick, tmp_path, monkeypatch):
    name, change, words = BREAKS[broken]
    model, other = quick(name), quick(name)
    change(other, monkeypatch)
    image = drawn_image(0, 96)
    export_detector(other, tmp_path / 'd.onnx', image, block=None)
    with pytest.raises(UserError, match=f'do not match the detector.*: {words}'):
        check_detector(model, tmp_path / 'd.onnx', image, 'it')


@pytest.mark.parametrize('name', ['faster_rcnn_snv2_lite', 'retinanet_snv2_lite', 'nanodet_m_snv2'])
@pytest.mark.slow
def test_half_precision_matches_single_precision(name, quick, tmp_path):
    float16 = pytest.importorskip('onnxruntime.transformers.float16')
    model = quick(name)
    export_detector(model, tmp_path / 'd.onnx', drawn_image(0, 96), block=None)
    half = float16.convert_float_to_float16(onnx.load(tmp_path / 'd.onnx'), keep_io_types=True)
    onnx.save(half, tmp_path / 'half.onnx')
    threshold = model.test_cfg.get('rcnn', model.test_cfg).nms.iou_threshold
    image = drawn_image(1, 160)
    image = image[:, : len(image)]  # a square, so that no box is cut to the image after NMS
    full, got = (ExportedDetector(tmp_path / f'{file}.onnx')(image) for file in ('d', 'half'))
    assert_same(got, full, threshold, apart=0.02)
    for label in set(got.labels):
        boxes = torch.from_numpy(got.boxes[got.labels == label])
        assert (box_iou(boxes, boxes).triu(1) <= threshold + 0.02).all()


def test_roi_levels_match_mmdetection_in_half_precision():
    sides = torch.tensor([20.0, 100, 130, 210, 250, 400, 500, 1000, 1300])
    rois = torch.stack(torch.meshgrid(sides, sides, indexing='ij')).flatten(1).T
    rois = torch.cat((torch.zeros(len(rois), 3), rois), dim=1)
    extractor = SingleRoIExtractor(dict(type='RoIAlign', output_size=7), 8, [4, 8, 16, 32])
    expected = extractor.map_roi_levels(rois, 4)
    exact = (rois[:, 3] * rois[:, 4]).sqrt().log2() - torch.tensor(56.0).log2()
    assert torch.equal(roi_levels(rois, extractor), expected)
    decided = (exact - exact.round()).abs() > 0.01
    assert torch.equal(roi_levels(rois.half(), extractor)[decided], expected[decided])


def constant(model, value):
    for parameter in model.parameters():
        parameter.data.fill_(value)


def equal_scores(model, value):
    for name, parameter in model.named_parameters():
        if any(part in name for part in ('_cls.', 'gfl_cls')):
            parameter.data.fill_(0)
            if name.endswith('bias'):
                parameter.data.fill_(value)


def random_weights(model, std):
    torch.manual_seed(3)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=std)


@pytest.mark.parametrize(
    ('name', 'change', 'value'),
    [
        pytest.param('retinanet_snv2_lite', equal_scores, 8.0, marks=pytest.mark.slow),
        ('retinanet_snv2_lite', constant, 0.01),
        pytest.param('retinanet_snv2_lite', random_weights, 0.3, marks=pytest.mark.slow),
        pytest.param('faster_rcnn_snv2_lite', equal_scores, 0.0, marks=pytest.mark.slow),
        ('faster_rcnn_snv2_lite', constant, 0.0),
        pytest.param('faster_rcnn_snv2_lite', random_weights, 0.05, marks=pytest.mark.slow),
        ('nanodet_m_snv2', equal_scores, 2.0),
        ('nanodet_m_snv2', random_weights, 0.2),
        pytest.param('light_head_rcnn_snv2_1x', equal_scores, 1.0, marks=pytest.mark.slow),
    ],
)
def test_exports_weights_with_equal_scores(name, change, value, made, quick, tmp_path):
    model = load_detector(*made(name), 'cpu') if change is random_weights else quick(name)
    change(model, value)
    export_detector(model, tmp_path / 'd.onnx', drawn_image(0, 96), block=16)
    check_detector(model, tmp_path / 'd.onnx', drawn_image(0, 96), 'it')


def test_rejects_weights_that_are_not_finite(made, tmp_path):
    config, checkpoint = made('nanodet_m_snv2')
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    weights['bbox_head.gfl_cls.0.bias'][0] = torch.nan
    torch.save({'state_dict': weights}, tmp_path / 'nan.pth')
    with pytest.raises(UserError, match='not finite .*Export another checkpoint'):
        export_model(config, tmp_path / 'nan.pth', tmp_path / 'd.onnx')
    assert not (tmp_path / 'd.onnx').exists()


@pytest.mark.parametrize(('got', 'matched'), [([0, 1, 2], 3), ([2, 0], 2), ([0, 0, 1], 2), ([], 0)])
def test_detections_are_matched_one_to_one(got, matched):
    found = Detections(
        np.array([[0, 0, 9, 9], [0, 0, 9, 8], [5, 5, 9, 9]], np.float32),
        np.array([0.9, 0.8, 0.7], np.float32),
        np.array([1, 1, 2]),
    )
    assert _matched(found, Detections(*(column[np.array(got, int)] for column in found))) == matched


def test_exports_after_prediction_from_an_array(made, tmp_path):
    model = load_detector(*made('retinanet_snv2_0.5x'), 'cpu')
    inference_detector(model, drawn_image(0, 160))
    export_detector(model, tmp_path / 'd.onnx', drawn_image(0, 160), block=None)
    check_detector(model, tmp_path / 'd.onnx', drawn_image(1, 160), 'it')


@pytest.mark.parametrize(
    ('name', 'option'),
    [
        ('retinanet_snv2_lite', 'score_thr'),
        ('nanodet_m_snv2', 'score_thr'),
        ('faster_rcnn_snv2_lite', 'rcnn.score_thr'),
    ],
)
def test_parts_are_compared_without_detections(name, option, made, tmp_path):
    config, checkpoint = made(name)
    checked = export_model(config, checkpoint, tmp_path / 'd.onnx', cfg_options={f'model.test_cfg.{option}': 1.0})
    assert (checked.found, checked.matched) == (0, 0)
    assert [len(column) for column in ExportedDetector(tmp_path / 'd.onnx')(drawn_image(1, 160))] == [0, 0, 0]


@pytest.mark.parametrize(
    ('args', 'words'),
    [
        (['detector.txt'], ['.onnx']),
        (['/dev/null/detector.onnx'], ['/dev/null', 'Choose another one']),
        (['detector.onnx', '--target', 'tensorflow'], ['tensorflow', 'onnxruntime, openvino']),
        (['detector.onnx', '--image', 'nothing.jpg'], ['nothing.jpg', 'missing']),
        (['detector.onnx', '--image-size', '9'], ['--image-size 9', 'expected']),
        (['detector.onnx', '--cfg-options', 'test_dataloader.dataset.pipeline.1.type=RandomFlip'], ['RandomFlip']),
    ],
)
def test_mistake_gives_status_2_and_one_line(args, words, made, tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = tool('export.py', *made('retinanet_snv2_0.5x'), *args)
    assert ended.status == 2
    assert all(word in ended.err for word in words), ended.err
    assert 'Traceback' not in ended.err


def steps_of(*steps):
    return resize_and_padding(Config(dict(test_dataloader=dict(dataset=dict(pipeline=list(steps))))))


LOAD, FIT = dict(type='LoadImageFromFile'), dict(type='Resize', scale=(192, 128), keep_ratio=True)
PAD = dict(type='CenterPad', size=(192, 192))


@pytest.mark.parametrize(
    ('steps', 'expected'),
    [
        ([LOAD, FIT], dict(scale=(192, 128), keep_ratio=True)),
        (
            [LOAD | dict(to_float32=False, color_type='color', imdecode_backend=None, backend_args=None), FIT],
            dict(scale=(192, 128), keep_ratio=True),
        ),
        ([LOAD, FIT | dict(interpolation='area')], dict(interpolation='area')),
        (
            [LOAD, FIT | dict(interpolation='nearest', backend='pillow')],
            dict(interpolation='nearest', backend='pillow'),
        ),
        ([LOAD, FIT | dict(scale=96, type='mmdet.FixScaleResize')], dict(scale=(96, 96), cut=True)),
        (
            [LOAD, dict(type='FitResize', scale=(96, 64)), PAD],
            dict(scale=(96, 64), fit=True, keep_ratio=True, cut=True),
        ),
    ],
)
def test_resize_of_the_test_pipeline_is_stored(steps, expected):
    resize = steps_of(*steps)[0]
    assert {key: getattr(resize, key) for key in expected} == expected


@pytest.mark.parametrize(
    ('steps', 'words'),
    [
        ([LOAD | dict(to_float32=True), FIT], 'to_float32=True.*pipeline.0.to_float32=False'),
        ([LOAD | dict(color_type='grayscale'), FIT], "color_type='grayscale'.*expected color_type='color'"),
        ([LOAD | dict(color_type='color_ignore_orientation'), FIT], "color_type='color_ignore_orientation'"),
        ([LOAD | dict(imdecode_backend='pillow'), FIT], "imdecode_backend='pillow'.*cv2.imread"),
        ([dict(type='LoadImageFromNDArray', to_float32=True), FIT], 'to_float32=True'),
        ([LOAD, FIT | dict(backend='pillow', interpolation='area')], "backend='pillow', interpolation='area'.*hamming"),
        ([LOAD, FIT | dict(interpolation='cubic')], "interpolation='cubic'.*bicubic"),
        ([LOAD, FIT, FIT], 'Resize as step 2'),
        ([LOAD, PAD, FIT], 'CenterPad as step 1'),
        ([LOAD, FIT, PAD, PAD], 'CenterPad as step 3'),
        ([LOAD, FIT, dict(type='Pad', size_divisor=32)], 'has Pad, which cannot be exported'),
        ([LOAD, FIT, dict(type='RandomGrayscale')], 'has RandomGrayscale, which'),
        ([LOAD, dict(type='Resize', scale_factor=0.5)], 'no Resize.scale='),
        ([LOAD], 'no Resize.scale='),
    ],
)
def test_rejects_unsupported_test_pipeline(steps, words):
    with pytest.raises(UserError, match=words):
        steps_of(*steps)


@pytest.mark.parametrize(
    ('name', 'changes'),
    [
        ('retinanet_snv2_lite', {'1.interpolation': 'nearest'}),
        ('retinanet_snv2_lite', {'1.backend': 'pillow', '1.interpolation': 'bicubic'}),
        ('nanodet_m_snv2', {'2.pad_val': (114, 90, 0), '2.size': (140, 150)}),
    ],
)
def test_other_resizing_and_padding_is_exported(name, changes, quick, tmp_path):
    model = quick(name)
    model.cfg.merge_from_dict({f'test_dataloader.dataset.pipeline.{key}': value for key, value in changes.items()})
    export_detector(model, tmp_path / 'd.onnx', drawn_image(0, 96), block=None)
    check_detector(model, tmp_path / 'd.onnx', drawn_image(1, 160), 'it')


class OwnWay(FCOSHead):
    """Has its own ``predict_by_feat``."""

    def predict_by_feat(self, *args, **kwargs):
        return super().predict_by_feat(*args, **kwargs)


def test_rejects_unsupported_head_with_the_supported_ones(quick):
    model = quick('retinanet_snv2_lite')
    model.bbox_head.__class__ = OwnWay
    with pytest.raises(UserError, match='RetinaNet with OwnWay.*FCOS.*backbone_only'):
        graph.DetectionGraph(model)


class OtherOrder(NanoDetHead):
    """Selects the last boxes instead of the best."""

    def _bbox_post_process(self, results, **kwargs):
        return super()._bbox_post_process(results[results.scores < 0.6], **kwargs)


def test_rejects_head_with_its_own_selection(quick, tmp_path):
    model = quick('nanodet_m_snv2')
    model.bbox_head.__class__ = OtherOrder
    export_detector(model, tmp_path / 'd.onnx', drawn_image(0, 96), block=None)
    with pytest.raises(UserError, match='OtherOrder selects boxes'):
        check_detector(model, tmp_path / 'd.onnx', drawn_image(0, 96), 'it')


def test_other_image_size_is_exported(made, tmp_path):
    export_model(*made('nanodet_plus_m_snv2'), tmp_path / 'd.onnx', image_size='96x64')
    assert ExportedDetector(tmp_path / 'd.onnx').resized(drawn_image(0, 160)).shape == (64, 96, 3)


def test_command_exports_and_prints_the_comparison(made, tool, tmp_path):
    ended = tool('export.py', *made('faster_rcnn_snv2_0.5x'), tmp_path / 'new' / 'detector.onnx')
    assert ended.status == 0, ended.err
    (line,) = ended.out.splitlines()[-1:]
    assert 'matches the PyTorch detector on a generated image' in line
    assert re.search(r'full image: \d+ of \d+ detections match', line)
    about = {entry.key: entry.value for entry in onnx.load(tmp_path / 'new' / 'detector.onnx').metadata_props}
    assert json.loads(about['resize']) == dict(
        scale=[192, 128], keep_ratio=True, cut=False, fit=False, interpolation='bilinear', backend='cv2'
    )
