"""Exported files against MMDetection's own prediction, on images of sizes that the trace has not seen."""

import json

import numpy as np
import onnx
import pytest
import torch
from conftest import ROOT, SHARED, needs_shared
from mmdet.apis import inference_detector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from torch import nn

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.datasets.shapes import draw_image
from mmdet_shufflenetv2.deploy import OnnxDetector, export_onnx
from mmdet_shufflenetv2.deploy.onnx_export import export_detector
from mmdet_shufflenetv2.deploy.openvino_cpu import compile_for_cpu
from mmdet_shufflenetv2.engine.inference import load_detector

SMALL = """
_base_ = ['{root}/configs/{base}.py']
model = dict(backbone=dict(init_cfg=None), {model})
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(192, 128), keep_ratio={keep_ratio}),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
"""
# Random weights find nothing above the usual thresholds.
LOW = 'test_cfg=dict(rcnn=dict(score_thr=0.03), rpn=dict(nms_pre=200, max_per_img=100))'
DETECTORS = {
    'faster_rcnn_snv2_0.5x': LOW,
    'retinanet_snv2_0.5x': 'test_cfg=dict(score_thr=0.9975, nms_pre=300)',
}

LIGHT_DETECTORS = {
    'retinanet_snv2_lite': 'test_cfg=dict(score_thr=0.9985, nms_pre=300, max_per_img=1000)',
    'faster_rcnn_snv2_lite': LOW,
    'light_head_rcnn_snv2_1x': LOW,
}
# How far the outputs of an untrained layer shall spread: scores that differ, boxes near their anchors.
SPREADS = {'rpn_cls': 2, 'rpn_reg': 0.2, 'retina_cls': 2, 'retina_reg': 0.2, 'fc_cls': 2, 'fc_reg': 0.2}


def weights_that_decide(model):
    """Random weights with scores that differ, so that no two detections are a toss-up."""
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
            batch = model.eval().data_preprocessor(dict(
                inputs=[torch.from_numpy(picture(0, 192)).permute(2, 0, 1)],
                data_samples=[DetDataSample(metainfo=meta)]))
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
        config.write_text(SMALL.format(root=ROOT, base=name, model=model, keep_ratio=keep_ratio))
        if not checkpoint.is_file():
            torch.manual_seed(0)
            model = MODELS.build(Config.fromfile(config).model)
            model.init_weights()
            weights_that_decide(model)
            torch.save({'state_dict': model.state_dict()}, checkpoint)
        return config, checkpoint

    return make


def picture(seed, size):
    return draw_image(np.random.default_rng(seed), size=size)[0]


def assert_same(detector, model, image):
    """Same number, and for each a partner of its label: boxes to 0.05 pixels, scores to 0.001."""
    expected = inference_detector(model, image).pred_instances.numpy()
    boxes, scores, labels = detector(image)
    assert len(scores) == len(expected.scores) > 0
    assert (np.diff(scores) <= 0).all()
    for box, score, label in zip(expected.bboxes, expected.scores, expected.labels, strict=True):
        same = labels == label
        near = (np.abs(boxes[same] - box).max(axis=1) <= 0.05) & (np.abs(scores[same] - score) <= 1e-3)
        assert near.any()


@pytest.mark.parametrize('name', DETECTORS)
@pytest.mark.parametrize('options', [dict(), dict(keep_shuffle=True), dict(runtime='openvino')])
def test_the_file_finds_what_the_detector_finds_on_images_of_any_size(name, options, made, tmp_path):
    config, checkpoint = made(name)
    checked = export_onnx(config, checkpoint, tmp_path / 'detector.onnx', **options)
    assert checked.found > 0
    detector, model = OnnxDetector(tmp_path / 'detector.onnx'), load_detector(config, checkpoint, 'cpu')
    assert detector.classes == tuple(model.dataset_meta['classes'])
    for seed, size in ((1, 160), (2, 300)):
        assert_same(detector, model, picture(seed, size))


@pytest.mark.parametrize('name', LIGHT_DETECTORS)
def test_the_light_detectors_too(name, made, tmp_path):
    config, checkpoint = made(name)
    export_onnx(config, checkpoint, tmp_path / 'detector.onnx')
    assert_same(OnnxDetector(tmp_path / 'detector.onnx'), load_detector(config, checkpoint, 'cpu'), picture(1, 160))


def test_an_image_that_is_stretched_is_stretched_in_the_file_too(made, tmp_path):
    config, checkpoint = made('retinanet_snv2_0.5x', keep_ratio=False)
    export_onnx(config, checkpoint, tmp_path / 'detector.onnx')
    assert_same(OnnxDetector(tmp_path / 'detector.onnx'), load_detector(config, checkpoint, 'cpu'), picture(4, 250))


def test_the_shuffle_free_file_holds_no_transpose_of_channels(made, tmp_path):
    config, checkpoint = made('retinanet_snv2_0.5x')
    kinds = {}
    for name, options in (('plain', dict(keep_shuffle=True)), ('fast', dict())):
        export_onnx(config, checkpoint, tmp_path / f'{name}.onnx', **options)
        nodes = onnx.load(tmp_path / f'{name}.onnx').graph.node
        kinds[name] = [node for node in nodes if node.op_type == 'Transpose' and len(node.attribute[0].ints) == 5]
    assert len(kinds['plain']) == 16
    assert kinds['fast'] == []


@pytest.mark.parametrize('options', [dict(), dict(keep_shuffle=True), dict(runtime='openvino')])
def test_a_backbone_gives_its_features_for_any_batch_and_size(options, made, tmp_path):
    import onnxruntime
    config, checkpoint = made('retinanet_snv2_0.5x')
    export_onnx(config, checkpoint, tmp_path / 'backbone.onnx', backbone_only=True, **options)
    backbone = load_detector(config, checkpoint, 'cpu').backbone
    x = torch.randn(3, 3, 75, 130)
    session = onnxruntime.InferenceSession(tmp_path / 'backbone.onnx', providers=['CPUExecutionProvider'])
    with torch.no_grad():
        for got, wanted in zip(session.run(None, {'x': x.numpy()}), backbone(x), strict=True):
            assert np.abs(got - wanted.numpy()).max() <= 1e-5 * wanted.abs().max()


def test_openvino_reads_the_same_file(made, tmp_path):
    pytest.importorskip('openvino', reason='needs openvino: pip install openvino')
    config, checkpoint = made('faster_rcnn_snv2_0.5x')
    export_onnx(config, checkpoint, tmp_path / 'detector.onnx')
    image = picture(5, 192)
    expected = OnnxDetector(tmp_path / 'detector.onnx')._session.run(None, {'image': image})
    got = compile_for_cpu(tmp_path / 'detector.onnx')([image])
    assert len(expected[1]) > 0
    np.testing.assert_allclose(got[0], expected[0], atol=0.05)
    np.testing.assert_array_equal(got[1], expected[1])


@needs_shared('weights')
@pytest.mark.parametrize('size', [320, 416])
def test_nanodets_file_finds_what_nanodet_finds_on_photographs(size, tmp_path):
    import cv2
    config = ROOT / 'configs' / ('nanodet_m_snv2.py' if size == 320 else 'nanodet_m_snv2_416.py')
    checkpoint = SHARED / 'weights' / f'nanodet_m_{size}.pth'
    export_onnx(config, checkpoint, tmp_path / 'nanodet.onnx')
    detector, model = OnnxDetector(tmp_path / 'nanodet.onnx'), load_detector(config, checkpoint, 'cpu')
    for path in sorted((SHARED / 'coco_tiny' / 'val2017').iterdir())[:4]:
        assert_same(detector, model, cv2.imread(str(path)))


def test_boxes_without_area_are_left_out_where_the_detector_leaves_them_out(made, tmp_path):
    config, checkpoint = made('retinanet_snv2_0.5x')
    weights = torch.load(checkpoint, weights_only=True)['state_dict']
    weights['bbox_head.retina_reg.bias'][0::4] += 1.5  # to the right: many leave the image and are cut to its border
    torch.save({'state_dict': weights}, tmp_path / 'beyond.pth')
    model = load_detector(config, tmp_path / 'beyond.pth', 'cpu')
    model.test_cfg.min_bbox_size = -1
    boxes = inference_detector(model, picture(0, 320)).pred_instances.bboxes
    assert (boxes[:, 0] == boxes[:, 2]).any()
    model.test_cfg.min_bbox_size = 0
    export_onnx(config, tmp_path / 'beyond.pth', tmp_path / 'd.onnx', cfg_options={'model.test_cfg.min_bbox_size': 0})
    assert_same(OnnxDetector(tmp_path / 'd.onnx'), model, picture(1, 160))


@pytest.mark.parametrize(('name', 'option', 'words'), [
    ('retinanet_snv2_0.5x', 'nms.type=soft_nms', "model.test_cfg.nms has type='soft_nms'"),
    ('retinanet_snv2_0.5x', 'min_bbox_size=8', 'model.test_cfg.min_bbox_size=8'),
    ('faster_rcnn_snv2_0.5x', 'rpn.nms.class_agnostic=True', 'model.test_cfg.rpn.nms has class_agnostic=True'),
    ('faster_rcnn_snv2_0.5x', 'rcnn.nms.max_num=5', 'model.test_cfg.rcnn.nms has max_num=5'),
])
def test_filters_that_a_graph_cannot_do_are_refused_and_nothing_is_made(
        name, option, words, made, tool, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.onnx, 'export', lambda *args, **kwargs: pytest.fail('it was exported'))
    ended = tool('export.py', *made(name), tmp_path / 'd.onnx', '--cfg-options', f'model.test_cfg.{option}')
    assert ended.status == 2
    assert words in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_differs_is_not_written_and_an_old_one_stays(made, tmp_path, monkeypatch):
    from mmdet_shufflenetv2.deploy import onnx_export
    config, checkpoint = made('retinanet_snv2_0.5x')
    right = onnx_export.shuffle_free_detector

    def wrong(model, **kwargs):
        fast = right(model, **kwargs)
        fast.backbone.parts[0].units[0].convs[0].weight.mul_(1.5)
        return fast

    monkeypatch.setattr(onnx_export, 'shuffle_free_detector', wrong)
    (tmp_path / 'detector.onnx').write_text('an older export')
    with pytest.raises(UserError, match='finds other things'):
        export_onnx(config, checkpoint, tmp_path / 'detector.onnx')
    assert [path.name for path in tmp_path.iterdir()] == ['detector.onnx']
    assert (tmp_path / 'detector.onnx').read_text() == 'an older export'


@pytest.mark.parametrize(('labels', 'words'), [
    ([0, 1], '2 objects and not 3'), ([0, 1, 1], 'as many objects of other classes')])
def test_other_numbers_or_classes_are_told_apart(made, tmp_path, monkeypatch, labels, words):
    from mmdet_shufflenetv2.deploy import onnx_export
    found = {number: onnx_export.Detections(np.zeros((number, 4)), np.ones(number), np.zeros(number, int))
             for number in (2, 3)}
    monkeypatch.setattr(onnx_export, '_detect', lambda *_: found[3])
    got = found[len(labels)]._replace(labels=np.array(labels))
    monkeypatch.setattr(onnx_export, 'OnnxDetector', lambda path: lambda image: got)
    config, checkpoint = made('retinanet_snv2_0.5x')
    with pytest.raises(UserError, match=f'finds other things than the detector: {words}.*--image FILE'):
        export_onnx(config, checkpoint, tmp_path / 'd.onnx')


def test_a_detector_that_has_predicted_from_an_array_can_be_exported(made, tmp_path):
    model = load_detector(*made('retinanet_snv2_0.5x'), 'cpu')
    inference_detector(model, picture(0, 160))
    export_detector(model, tmp_path / 'd.onnx', picture(0, 160), block=None)
    assert_same(OnnxDetector(tmp_path / 'd.onnx'), model, picture(1, 160))


def test_where_nothing_is_found_nothing_was_checked(made, tmp_path):
    config, checkpoint = made('retinanet_snv2_0.5x')
    with pytest.raises(UserError, match=r'finds nothing on a drawn image.*--image'):
        export_onnx(config, checkpoint, tmp_path / 'd.onnx', cfg_options={'model.test_cfg.score_thr': 1.0})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(('args', 'words'), [
    (['detector.txt'], ['.onnx']),
    (['/dev/null/detector.onnx'], ['/dev/null', 'cannot be made']),
    (['detector.onnx', '--for', 'tensorrt'], ['tensorrt', 'onnxruntime, openvino']),
    (['detector.onnx', '--image', 'nothing.jpg'], ['nothing.jpg', 'missing']),
    (['detector.onnx', '--cfg-options', 'test_dataloader.dataset.pipeline.1.type=RandomFlip'], ['RandomFlip']),
])
def test_a_users_mistake_ends_with_status_2_and_a_line(args, words, made, tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = tool('export.py', *made('retinanet_snv2_0.5x'), *args)
    assert ended.status == 2
    assert all(word in ended.err for word in words), ended.err
    assert 'Traceback' not in ended.err


def test_an_unsupported_head_is_said_with_the_supported_ones(tmp_path):
    from mmdet_shufflenetv2.deploy.graph import DetectionGraph
    register_all_modules(init_default_scope=True)
    cfg = Config.fromfile(ROOT / 'configs' / 'retinanet_snv2_0.5x.py')
    cfg.model.backbone.init_cfg = None
    cfg.model.bbox_head = dict(type='FCOSHead', num_classes=80, in_channels=256, strides=[8, 16, 32, 64, 128])
    cfg.model.type = 'FCOS'
    with pytest.raises(UserError, match='FCOS with FCOSHead.*RetinaHead.*NanoDetHead.*--backbone-only'):
        DetectionGraph(MODELS.build(cfg.model).eval())


def test_the_command_exports_and_says_what_it_compared(made, tool, tmp_path):
    ended = tool('export.py', *made('faster_rcnn_snv2_0.5x'), tmp_path / 'new' / 'detector.onnx')
    assert ended.status == 0, ended.err
    assert 'equal to the detector on a drawn image' in ended.out
    about = {entry.key: entry.value for entry in onnx.load(tmp_path / 'new' / 'detector.onnx').metadata_props}
    assert json.loads(about['resize']) == dict(
        scale=[192, 128], keep_ratio=True, cut=False, fit=False)
