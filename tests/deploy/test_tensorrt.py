"""ONNX files for TensorRT's parser, run by onnxruntime."""

import json

import numpy as np
import pytest
from families import Pyramid, exportable
from mmdet.utils import register_all_modules

from mmdet_shufflenetv2 import Detector, UserError
from mmdet_shufflenetv2.config.detector import load_detector
from mmdet_shufflenetv2.config.options import ExportOptions
from mmdet_shufflenetv2.data.shapes import draw_image
from mmdet_shufflenetv2.deploy import ExportedDetector, export_model
from mmdet_shufflenetv2.deploy.check import _detect
from mmdet_shufflenetv2.deploy.export import export_detector
from mmdet_shufflenetv2.deploy.targets import TARGETS, tensorrt

onnx = pytest.importorskip('onnx', reason="needs onnx: pip install '.[deploy]'")
pytest.importorskip('onnxruntime', reason="needs onnxruntime: pip install '.[deploy]'")


@pytest.fixture(scope='module')
def small(small_nanodet, tmp_path_factory):
    """Files of a small NanoDet-m, by precision."""
    folder = tmp_path_factory.mktemp('tensorrt')
    for precision in ('fp32', 'fp16'):
        export_model(*small_nanodet, folder / f'{precision}.onnx', target='tensorrt', precision=precision)
    return {precision: folder / f'{precision}.onnx' for precision in ('fp32', 'fp16')}


@pytest.mark.parametrize(('precision', 'pixels'), [('fp32', 0.1), ('fp16', 1)])
@pytest.mark.parametrize('size', [50, 130])
def test_file_matches_pytorch(small, small_nanodet, precision, pixels, size):
    image = draw_image(np.random.default_rng(size), size=size)[0][: size * 3 // 4]
    wanted = _detect(load_detector(*small_nanodet, 'cpu'), image)
    found = Detector(small[precision])(image)
    assert len(wanted.scores) > 5
    for score, box, label in list(zip(wanted.scores, wanted.boxes, wanted.labels))[:5]:
        assert (
            (found.labels == label)
            & (np.abs(found.scores - score) < pixels / 100)
            & (np.abs(found.boxes - box).max(axis=1) < pixels * 2)
        ).any()


def test_openvino_runs_the_file(small):
    pytest.importorskip('openvino', reason="needs openvino: pip install '.[openvino]'")
    image = draw_image(np.random.default_rng(0), size=100)[0]
    found, other = (ExportedDetector(small['fp32'], target=target)(image) for target in (None, 'openvino'))
    np.testing.assert_allclose(other.scores[:5], found.scores[:5], atol=1e-3)


@pytest.mark.parametrize(('precision', 'dtype'), [('fp32', 'FLOAT'), ('fp16', 'FLOAT16')])
def test_file_has_only_supported_shapes_operators_and_types(small, precision, dtype):
    graph = onnx.load(small[precision]).graph
    assert [[one.dim_value for one in info.type.tensor_type.shape.dim] for info in graph.input] == [[1, 3, 64, 64]]
    assert {one.name: [size.dim_value for size in one.type.tensor_type.shape.dim][-1] for one in graph.output} == dict(
        boxes=4, scores=80
    )
    weights = {one.data_type for one in graph.initializer if len(one.dims) == 4}
    assert weights == {getattr(onnx.TensorProto, dtype)}
    kinds = {node.op_type for node in graph.node}
    assert not kinds & {'Shape', 'NonZero', 'NonMaxSuppression', 'If', 'Loop'}  # sizes that depend on the image
    assert {node.domain for node in graph.node} <= {'', 'ai.onnx'}


def test_file_has_complete_metadata(small):
    about = {one.key: one.value for one in onnx.load(small['fp32']).metadata_props}
    assert json.loads(about['input'])['size'] == [64, 64]
    assert json.loads(about['selection'])['iou_threshold'] == 0.6
    assert len(json.loads(about['classes'])) == 80


@pytest.mark.parametrize('name', ['RetinaNet', 'TOOD (deformable)'])
@pytest.mark.slow
def test_exports_other_one_stage_detectors(name, tmp_path):
    program = traced(name, tmp_path)
    scores, boxes = TARGETS['tensorrt'].export(program, tmp_path / 'out.onnx', ExportOptions(None, '', ''))
    assert scores < 1e-4
    assert boxes < 0.01


def traced(name, folder):
    register_all_modules(init_default_scope=True)
    model = exportable(name, (96, 64))
    model.backbone = Pyramid(model.backbone)
    return export_detector(model, folder / 'd.onnx', draw_image(np.random.default_rng(0), size=96)[0], None)


def test_rejects_unsupported_operator_with_alternatives(tmp_path, monkeypatch):
    program = traced('RTMDet', tmp_path)
    monkeypatch.setattr(tensorrt, 'OPERATORS', tensorrt.OPERATORS - {'Sigmoid'})
    with pytest.raises(UserError, match='target=tensorrt does not support Sigmoid .*onnxruntime .*openvino'):
        TARGETS['tensorrt'].export(program, tmp_path / 'out.onnx', ExportOptions(None, '', ''))


def test_rejects_two_stage_detector_with_alternatives(tmp_path):
    with pytest.raises(UserError, match='target=tensorrt .*one-stage detectors.*onnxruntime .*openvino'):
        TARGETS['tensorrt'].export(traced('Faster R-CNN', tmp_path), tmp_path / 'o.onnx', ExportOptions(None, '', ''))


def test_command_prints_how_to_build_the_engine(small_nanodet, tmp_path, tool):
    out = tmp_path / 'd.onnx'
    ended = tool('export.py', *small_nanodet, out, '--target', 'tensorrt')
    assert ended.status == 0, ended.err
    assert f'next: trtexec --onnx={out} --saveEngine={tmp_path / "d"}.engine' in ended.out
