"""Selection of a target, and the files of each target."""

import dataclasses

import numpy as np
import pytest
from tiny_graph import write

from mmdet_shufflenetv2 import Detector, UserError
from mmdet_shufflenetv2.config.options import ExportOptions
from mmdet_shufflenetv2.deploy import ExportedDetector
from mmdet_shufflenetv2.deploy.targets import TARGETS, is_exported, target_of
from mmdet_shufflenetv2.deploy.targets.target import Program


@pytest.mark.parametrize(
    ('path', 'name', 'expected'),
    [
        ('d.onnx', None, 'onnxruntime'),
        ('d.ONNX', None, 'onnxruntime'),
        ('d.xml', None, 'openvino'),
        ('d.tflite', None, 'litert'),
        ('d.mlpackage', None, 'coreml'),
        ('d.onnx', 'tensorrt', 'tensorrt'),
        ('d.onnx', 'openvino', 'openvino'),
        ('d.xml', 'openvino', 'openvino'),
        ('d.param', None, 'ncnn'),
    ],
)
def test_target_is_chosen_by_suffix_or_name(path, name, expected):
    assert target_of(path, name).name == expected
    assert is_exported(path)


@pytest.mark.parametrize(
    ('path', 'name', 'words'),
    [
        ('d.pth', None, 'd.pth: .*.onnx .onnxruntime., .xml or .onnx .openvino., .param .ncnn.'),
        ('d.xml', 'onnxruntime', 'd.xml: expected a name that ends in .onnx .onnxruntime.'),
        ('d.onnx', 'tensorflow', 'target=tensorflow is unknown: expected one of onnxruntime, openvino, ncnn, litert,'),
    ],
)
def test_rejects_unknown_suffix_with_the_known_ones(path, name, words):
    with pytest.raises(UserError, match=words):
        target_of(path, name)


def test_missing_package_is_reported_with_the_extra():
    with pytest.raises(UserError, match=r"needs no_such_module: pip install no_such_module.*'\.\[openvino\]'"):
        TARGETS['openvino'].need(['json', 'no_such_module'], 'Exporting')


def test_old_package_is_reported_with_the_required_version():
    target = dataclasses.replace(TARGETS['litert'], oldest=(('numpy', '999.1'),))
    with pytest.raises(UserError, match=f"needs numpy 999.1 or later, got {np.__version__}: .*'.\\[litert\\]'"):
        target.need(['numpy'], 'Exporting')


@pytest.mark.parametrize('name', ['onnxruntime', 'openvino'])
def test_targets_agree_and_have_classes(name, tmp_path):
    target = TARGETS[name]
    for module in target.run_modules:
        pytest.importorskip(module, reason=f"needs {module}: pip install '.[{target.extra}]'")
    onnx, out = write(tmp_path / 'checked.onnx'), tmp_path / f'd{target.suffixes[0]}'
    target.export(Program(None, None, {}, onnx), out, ExportOptions(None, 'c.pth', str(out)))
    onnx.unlink()
    image = np.zeros((30, 40, 3), np.uint8)
    for detector in (ExportedDetector(out, threads=1, target=name), Detector(out)):
        boxes, scores, labels = detector(image)
        np.testing.assert_allclose(boxes, [[0, 0, 40, 30]], rtol=1e-5)
        assert [detector.classes[label] for label in labels] == ['dog']
        assert scores.tolist() == [0.75]
