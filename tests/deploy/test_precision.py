"""Exported graphs in half precision and in 8-bit integers."""

from types import SimpleNamespace

import cv2
import numpy as np
import onnx
import pytest
from conftest import ROOT, SHARED, needs_shared
from mmdet.utils import register_all_modules
from test_heads import small_detector

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.deploy import ExportedDetector, export_model
from mmdet_shufflenetv2.deploy.check import agreement
from mmdet_shufflenetv2.deploy.export import _agreement, export_detector
from mmdet_shufflenetv2.deploy.exported import Detections
from mmdet_shufflenetv2.deploy.precision import calibration_images, layers, write_half, write_int8
from mmdet_shufflenetv2.deploy.targets.onnxruntime import session

register_all_modules()
IMAGE = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """A small detector and its graph, by name of the family."""
    made = {}

    def export(name):
        if name not in made:
            model, path = small_detector(name), tmp_path_factory.mktemp('precision') / 'd.onnx'
            export_detector(model, path, IMAGE, block=None)
            made[name] = model, path
        return made[name]

    return export


@pytest.mark.parametrize(
    ('name', 'last'),
    [
        ('FCOS', {'conv_cls', 'conv_reg', 'conv_centerness'}),
        pytest.param('Cascade R-CNN', {'rpn_cls', 'rpn_reg', 'fc_cls', 'fc_reg'}, marks=pytest.mark.slow),
    ],
)
def test_finds_the_last_layers_of_each_head(name, last, exported):
    graph = onnx.load(exported(name)[1]).graph
    found = layers(graph)
    assert {part for part in last if any(f'/{part}' in node for node in found.last)} == last
    assert all(any(f'/{part}' in node for part in last) for node in found.last)
    assert found.first
    assert all('/backbone/' in node for node in found.first)
    kinds = {node.op_type for node in graph.node if node.name in found.selection}
    assert {'NonMaxSuppression', 'TopK'} <= kinds
    assert not found.selection & found.weighted


def test_int8_is_7_bits_per_channel_without_first_and_last_layers(exported, tmp_path):
    path = exported('FCOS')[1]
    detector = ExportedDetector(path)
    write_int8(path, tmp_path / 'd.onnx', [detector.resized(IMAGE), detector.resized(IMAGE[:, ::-1])])
    found, graph = layers(onnx.load(path).graph), onnx.load(tmp_path / 'd.onnx').graph
    made_by = {output: node for node in graph.node for output in node.output}
    values = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    inside = [node for node in graph.node if node.name in found.weighted - found.first - found.last]
    assert inside
    for node in inside:
        weight, scale = (values[name] for name in made_by[node.input[1]].input[:2])
        assert weight.dtype == np.int8
        assert np.abs(weight.astype(int)).max() <= 64
        assert len(scale) == len(weight)
    for node in graph.node:
        if node.name in found.first | found.last:
            assert values[node.input[1]].dtype == np.float32
    assert ExportedDetector(tmp_path / 'd.onnx').classes == detector.classes


def run(path, names, image):
    """Values inside a graph."""
    model = onnx.load(path)
    del model.graph.output[:]
    model.graph.output.extend([onnx.helper.make_empty_tensor_value_info(name) for name in names])
    return session(model.SerializeToString()).run(names, {'image': image})


@pytest.mark.slow
def test_lower_precision_is_close_to_the_detector(exported, tmp_path):
    path = exported('FCOS')[1]
    image = ExportedDetector(path).resized(IMAGE)
    write_half(path, tmp_path / 'half.onnx')
    write_int8(path, tmp_path / 'int8.onnx', [image])
    scores, boxes = run(path, ['scores', 'boxes'], image)
    for name, score_limit, box_limit in (('half', 2e-4, 0.2), ('int8', 0.01, 2.0)):
        got_scores, got_boxes = run(tmp_path / f'{name}.onnx', ['scores', 'boxes'], image)
        assert np.abs(got_scores - scores).mean() < score_limit
        assert np.abs(got_boxes - boxes).mean() < box_limit


def test_half_precision_rounds_weights_but_no_coordinates(exported, tmp_path):
    path = exported('FCOS')[1]
    write_half(path, tmp_path / 'half.onnx')
    weights = [one.data_type for one in onnx.load(tmp_path / 'half.onnx').graph.initializer if len(one.dims) == 4]
    assert weights.count(onnx.TensorProto.FLOAT16) > 0.9 * len(weights)
    boxes = ExportedDetector(tmp_path / 'half.onnx')(IMAGE).boxes
    assert (boxes != boxes.astype(np.float16)).any()


def detections(boxes, scores, labels):
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(labels, int))


DOG, CAT = [0, 0, 10, 10], [20, 20, 40, 40]
BOTH = detections([DOG, CAT], [0.9, 0.6], [0, 1])


@pytest.mark.parametrize(
    ('got', 'expected'),
    [
        (BOTH, 1.0),
        (detections([DOG], [0.9], [0]), 2 / 3),
        (detections([DOG, CAT], [0.9, 0.6], [1, 0]), 0.0),
        (detections([DOG, CAT], [0.9, 0.2], [0, 1]), 2 / 3),
        (detections([DOG, CAT], [0.8, 0.31], [0, 1]), 1.0),
        (detections([[0, 0, 10, 6], CAT], [0.9, 0.6], [0, 1]), 1.0),
        (detections([[0, 0, 10, 4], CAT], [0.9, 0.6], [0, 1]), 0.5),
        (detections([], [], []), 0.0),
    ],
)
def test_agreement_is_the_share_of_matching_detections(got, expected):
    assert agreement([BOTH], [got]) == pytest.approx(expected)


def test_agreement_without_detections_is_one():
    assert agreement([detections([], [], [])], [detections([DOG], [0.1], [0])]) == 1.0


@pytest.mark.parametrize(('target', 'last'), [('onnxruntime', 'issues/26324'), ('ncnn', 'another precision')])
def test_rejects_file_that_detects_other_objects(target, last):
    right, wrong = (SimpleNamespace(detect=lambda images, one=one: [one]) for one in (BOTH, detections([], [], [])))
    with pytest.raises(UserError, match=f'precision=int8 detects other objects than fp32 .* 0% .*{last}.{{1,2}}$'):
        _agreement(right, wrong, [IMAGE], 'int8', target)


@pytest.mark.parametrize(
    ('out', 'options', 'words'),
    [
        ('d.onnx', dict(precision='int8'), 'needs images for calibration: `data` is missing'),
        ('d.tflite', dict(precision='int8'), 'needs images for calibration: `data` is missing'),
        ('d.mlpackage', dict(precision='int8', data='empty'), 'data=.*empty contains none'),
        ('d.xml', dict(precision='int8', data='empty'), 'data=.*empty contains none'),
        ('d.xml', dict(precision='int8', data='nowhere'), 'data=.*nowhere contains none'),
        ('d.onnx', dict(data='empty'), 'is for precision=int8.*got precision=fp32'),
        ('d.param', dict(precision='int8'), 'needs images for calibration: `data` is missing'),
        ('d.onnx', dict(precision='int8', data='empty', target='tensorrt'), 'is not supported for tensorrt: .*fp16'),
    ],
)
def test_rejects_invalid_calibration_data_before_the_export(out, options, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match=words):
        export_model('config.py', 'checkpoint.pth', tmp_path / out, **options)


def test_calibration_images_are_evenly_chosen_from_all_folders(tmp_path):
    for number in range(250):
        path = tmp_path / f'{number // 100}' / f'{number:03}.png'
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.full((4, 5, 3), number, np.uint8))
    values = [image[0, 0, 0] for image in calibration_images(tmp_path)]
    assert len(values) == 100
    assert (values[0], values[-1]) == (0, 249)
    assert np.diff(np.array(values, int)).max() <= 3


@needs_shared('weights')
@pytest.mark.slow
@pytest.mark.parametrize('suffix', ['.onnx', '.xml'])
@pytest.mark.parametrize(('precision', 'least'), [('fp16', 0.95), ('int8', 0.8)])
def test_nanodet_plus_agrees_in_lower_precision(suffix, precision, least, tmp_path):
    if suffix == '.xml':
        pytest.importorskip('openvino', reason="needs openvino: pip install '.[openvino]'")
    images = SHARED / 'coco_tiny' / 'train2017' if precision == 'int8' else None
    checked = export_model(
        ROOT / 'configs' / 'nanodet_plus_m_snv2.py',
        SHARED / 'weights' / 'nanodet_plus_m_320.pth',
        tmp_path / f'd{suffix}',
        precision=precision,
        data=images,
    )
    assert checked.agreement >= least
