"""Files exported with a batch size above 1."""

import numpy as np
import onnx
import pytest
from mmdet.utils import register_all_modules
from onnx import TensorProto, helper
from test_heads import small_detector
from tiny_graph import ABOUT

from mmdet_shufflenetv2 import Detector, UserError
from mmdet_shufflenetv2.deploy import ExportedDetector, export_model, graph
from mmdet_shufflenetv2.deploy.check import check_detector
from mmdet_shufflenetv2.deploy.export import export_detector

register_all_modules()


def write_batch(path, batch):
    """A graph with one detection per image: class 1, and the first pixel's blue value divided by 255 as score."""
    constants = dict(
        first=np.array([0]),
        boxes=np.tile(np.float32([0, 0, 8, 8]), (batch, 1, 1)),
        most=np.float32([255]),
        one=np.array([batch, 1, 1]),
        filling=np.zeros((batch, 1, 5), np.float32),
    )
    nodes = [
        helper.make_node('Gather', ['image', 'first'], ['row'], axis=1),
        helper.make_node('Gather', ['row', 'first'], ['pixel'], axis=2),
        helper.make_node('Gather', ['pixel', 'first'], ['blue'], axis=3),
        helper.make_node('Cast', ['blue'], ['value'], to=TensorProto.FLOAT),
        helper.make_node('Div', ['value', 'most'], ['share']),
        helper.make_node('Reshape', ['share', 'one'], ['score']),
        helper.make_node('Concat', ['boxes', 'score'], ['det'], axis=2),
        helper.make_node('Concat', ['det', 'filling'], ['dets'], axis=1),
    ]
    labels = np.tile(np.array([1, -1]), (batch, 1))
    nodes.append(helper.make_node('Constant', [], ['labels'], value=onnx.numpy_helper.from_array(labels)))
    model = helper.make_model(
        helper.make_graph(
            nodes,
            'batch',
            [helper.make_tensor_value_info('image', TensorProto.UINT8, [batch, 'height', 'width', 3])],
            [
                helper.make_tensor_value_info('dets', TensorProto.FLOAT, [batch, 2, 5]),
                helper.make_tensor_value_info('labels', TensorProto.INT64, [batch, 2]),
            ],
            [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        ir_version=9,
        opset_imports=[helper.make_opsetid('', 17)],
    )
    helper.set_model_props(model, ABOUT | dict(batch=str(batch)))
    onnx.save(model, path)
    return path


@pytest.mark.parametrize('batch', [2, 3, 8])
@pytest.mark.parametrize('make', [ExportedDetector, Detector])
def test_batch_matches_single_images(batch, make, tmp_path):
    detector = make(write_batch(tmp_path / 'd.onnx', batch))
    sizes = [(48, 64), (48, 64), (90, 40), (48, 64), (20, 200), (90, 40), (48, 64)]
    images = [np.full((*size, 3), 30 * number, np.uint8) for number, size in enumerate(sizes)]
    found = detector(images) if make is Detector else detector.detect(images)
    assert [one.scores.tolist() for one in found] == [
        [pytest.approx(30 * number / 255)] for number in range(len(images))
    ]
    assert [one.labels.tolist() for one in found] == [[1]] * len(images)
    for one, image in zip(found, images):
        scale = min(64 / max(image.shape), 48 / min(image.shape[:2]))
        inside = [[0, 0, 8 / scale, min(8 / scale, len(image))]]
        np.testing.assert_allclose(np.minimum(one.boxes, [1000, 1000, 1000, len(image)]), inside, rtol=0.1)
    assert detector(images[3]).scores == pytest.approx([90 / 255])


@pytest.mark.parametrize('name', ['FCOS', pytest.param('Mask R-CNN', marks=pytest.mark.slow)])
def test_check_compares_a_batch_by_image(name, tmp_path):
    model = small_detector(name)
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    export_detector(model, tmp_path / 'd.onnx', image, block=None, batch=2)
    check_detector(model, tmp_path / 'd.onnx', image, 'it', batch=2)
    assert ExportedDetector(tmp_path / 'd.onnx').batch == 2


@pytest.mark.slow
def test_rejects_batch_in_another_order(tmp_path, monkeypatch):
    right = graph.DetectionGraph._found_in_each

    def exchanged(self, *args):
        outputs, parts = right(self, *args)
        return outputs | dict(dets=outputs['dets'].flip(0)), parts

    monkeypatch.setattr(graph.DetectionGraph, '_found_in_each', exchanged)
    model = small_detector('FCOS')
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    export_detector(model, tmp_path / 'd.onnx', image, block=None, batch=2)
    with pytest.raises(UserError, match='the batch: dets'):
        check_detector(model, tmp_path / 'd.onnx', image, 'it', batch=2)


@pytest.mark.parametrize(
    ('out', 'options', 'words'),
    [
        ('d.onnx', dict(batch=0), 'batch=0: expected 1 or more'),
        ('d.param', dict(batch=2), 'batch=2 is not supported for ncnn: onnxruntime and openvino'),
        ('d.onnx', dict(batch=2, backbone_only=True), 'a backbone takes any number'),
    ],
)
def test_rejects_unsupported_batch(out, options, words, tmp_path):
    with pytest.raises(UserError, match=words):
        export_model('config.py', 'checkpoint.pth', tmp_path / out, **options)
