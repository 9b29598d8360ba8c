"""Packages for Core ML: their programs are read back and computed in PyTorch. Core ML runs them on macOS only."""

import json
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmdet_shufflenetv2 import Detector, UserError
from mmdet_shufflenetv2.config.detector import load_detector
from mmdet_shufflenetv2.data.shapes import draw_image
from mmdet_shufflenetv2.deploy import export_model
from mmdet_shufflenetv2.deploy.check import _detect, agreement
from mmdet_shufflenetv2.deploy.exported import Detections
from mmdet_shufflenetv2.deploy.fixed_size import surrounded
from mmdet_shufflenetv2.deploy.resizing import Resize
from mmdet_shufflenetv2.deploy.targets.coreml import description

coremltools = pytest.importorskip('coremltools', reason="needs coremltools: pip install '.[coreml]'")


@pytest.fixture(scope='module')
def small(small_nanodet, tmp_path_factory):
    """A package of a small NanoDet-m."""
    out = tmp_path_factory.mktemp('coreml') / 'small.mlpackage'
    export_model(*small_nanodet, out)
    return out


def program(path):
    """The operations of a package, with their weights."""
    from coremltools.converters.mil.frontend.milproto.load import load

    spec = coremltools.utils.load_spec(str(path))
    weights = path / 'Data' / 'com.apple.CoreML' / 'weights'
    return load(spec, specification_version=spec.specificationVersion, file_weights_dir=str(weights)).functions['main']


def pads(values):
    assert values[::2] == values[1::2]
    return values[::2]


def convolution(x, weight, bias=None, strides=(1, 1), pad=(0, 0, 0, 0), dilations=(1, 1), groups=1, pad_type='custom'):
    pad = list(pad) if pad_type == 'custom' else [0, 0, 0, 0]
    return F.conv2d(x, weight, bias, list(strides), pads(pad), list(dilations), groups)


def upsample(x, scale_factor_height, scale_factor_width, align_corners):
    size = [round(side * factor) for side, factor in zip(x.shape[2:], (scale_factor_height, scale_factor_width))]
    return F.interpolate(x, size=size, mode='bilinear', align_corners=align_corners)


def sliced(x, begin, end, stride=None, begin_mask=None, end_mask=None, squeeze_mask=None):
    index = []
    for axis, (first, last) in enumerate(zip(begin, end)):
        if squeeze_mask and squeeze_mask[axis]:
            index.append(first)
        else:
            index.append(
                slice(
                    None if begin_mask and begin_mask[axis] else first,
                    None if end_mask and end_mask[axis] else last,
                    stride[axis] if stride else 1,
                )
            )
    return x[tuple(index)]


def dequantized(quantized_data, scale, zero_point, axis):
    shape = [-1 if one == axis else 1 for one in range(np.ndim(quantized_data))]
    scale, zero_point = (torch.as_tensor(one).float().reshape(shape) for one in (scale, zero_point))
    return (quantized_data - zero_point) * scale


#: Core ML's operators as their documentation defines them, in PyTorch, in single precision.
OPERATORS = dict(
    cast=lambda x, dtype: x,
    constexpr_affine_dequantize=dequantized,
    conv=convolution,
    upsample_bilinear=upsample,
    slice_by_index=sliced,
    leaky_relu=lambda x, alpha: F.leaky_relu(x, alpha),
    sigmoid=lambda x: x.sigmoid(),
    split=lambda x, axis, split_sizes=None, num_splits=None: x.split(split_sizes or x.shape[axis] // num_splits, axis),
    concat=lambda values, axis, interleave=False: torch.cat(values, axis),
    stack=lambda values, axis: torch.stack(values, axis),
    add=lambda x, y: x + y,
    sub=lambda x, y: x - y,
    mul=lambda x, y: x * y,
    reshape=lambda x, shape: x.reshape(shape),
    transpose=lambda x, perm: x.permute(perm),
    softmax=lambda x, axis: x.softmax(axis),
    linear=lambda x, weight, bias=None: F.linear(x, weight, bias),
    max_pool=lambda x, kernel_sizes, strides, pad, pad_type='custom', ceil_mode=False: F.max_pool2d(
        x, kernel_sizes, strides, pads(pad), ceil_mode=ceil_mode
    ),
)


def computed(function, x):
    """The program's outputs for an input, by name."""
    values = {'input': torch.from_numpy(x)}

    def known(var):
        if isinstance(var, (tuple, list)):
            return [known(one) for one in var]
        if var.name in values:
            return values[var.name]
        value = var.val
        if isinstance(value, np.ndarray):
            numbers = value.ndim > 1 or (value.ndim and value.dtype.kind == 'f')
            return torch.from_numpy(value.astype(np.float32)) if numbers else value.tolist()
        return value.item() if isinstance(value, np.generic) else value

    for operation in function.operations:
        if operation.op_type != 'const':
            given = {name: known(var) for name, var in operation.inputs.items() if var is not None}
            made = OPERATORS[operation.op_type](**given)
            made = made if isinstance(made, (tuple, list)) else [made]
            values.update({var.name: value for var, value in zip(operation.outputs, made)})
    return {var.name: values[var.name].numpy() for var in function.outputs}


def detected(path, image):
    """What the program finds, computed in PyTorch: as :class:`Loaded` has it, in pixels of the resized image."""
    about = dict(coremltools.utils.load_spec(str(path)).description.metadata.userDefined)
    function = program(path)

    def run(x, _):
        found = computed(function, x[None])
        return [found['boxes'], found['scores']]

    resized = Resize(**json.loads(about['resize']))(image)
    return *surrounded(about, run, path)[0](resized), resized


def test_program_matches_pytorch(small, small_nanodet):
    image = draw_image(np.random.default_rng(0), size=130)[0][:100]
    dets, labels, resized = detected(small, image)
    wanted = _detect(load_detector(*small_nanodet, 'cpu'), image)
    factors = np.array([image.shape[1] / resized.shape[1], image.shape[0] / resized.shape[0]] * 2)
    assert len(wanted.scores) > 5
    for score, box, label in list(zip(wanted.scores, wanted.boxes, wanted.labels))[:5]:
        assert (
            (labels == label)
            & (np.abs(dets[:, 4] - score) < 1e-3)
            & (np.abs(dets[:, :4] * factors - box).max(axis=1) < 0.1)
        ).any()


def test_package_has_complete_metadata(small):
    inputs, outputs, operators = description(small)
    assert inputs == {'input': (1, 3, 64, 64)}
    assert {name: shape[-1] for name, shape in outputs.items()} == dict(boxes=4, scores=80)
    assert 'gather' not in operators  # channels are not shuffled, and nothing depends on the image's size
    about = dict(coremltools.utils.load_spec(str(small)).description.metadata.userDefined)
    assert json.loads(about['selection'])['iou_threshold'] == 0.6
    assert len(json.loads(about['classes'])) == 80


def test_half_precision_halves_the_weights(small, small_nanodet, tmp_path):
    out = tmp_path / 'half.mlpackage'
    export_model(*small_nanodet, out, precision='fp16')
    sizes = [next(path.rglob('weight.bin')).stat().st_size for path in (out, small)]
    assert 0.49 < sizes[0] / sizes[1] < 0.55
    dtypes = {operation.outputs[0].dtype for operation in program(out).operations if operation.op_type == 'conv'}
    assert [kind.__name__ for kind in dtypes] == ['fp16']


def test_int8_weights_have_a_scale_for_each_channel(small, small_nanodet, tmp_path):
    out = tmp_path / 'd.mlpackage'
    export_model(*small_nanodet, out, precision='int8')
    layers = [operation for operation in program(small).operations if operation.op_type == 'conv']
    weights = [one for one in program(out).operations if one.op_type == 'constexpr_affine_dequantize']
    assert len(weights) == sum(operation.weight.val.size > 2048 for operation in layers)
    for weight in weights:
        assert weight.quantized_data.val.dtype == np.int8
        assert weight.axis.val == 0
        assert weight.scale.val.shape == weight.quantized_data.val.shape[:1]
    image = draw_image(np.random.default_rng(0), size=130)[0][:100]
    wanted, got = (
        [Detections(dets[:, :4], dets[:, 4], labels)]
        for dets, labels, _ in (detected(path, image) for path in (small, out))
    )
    assert agreement(wanted, got) > 0.8


def test_existing_package_is_not_replaced(small_nanodet, tmp_path):
    (tmp_path / 'd.mlpackage').mkdir()
    (tmp_path / 'd.mlpackage' / 'Manifest.json').write_text('mine')
    with pytest.raises(UserError, match='already exists: .*d.mlpackage'):
        export_model(*small_nanodet, tmp_path / 'd.mlpackage')
    assert (tmp_path / 'd.mlpackage' / 'Manifest.json').read_text() == 'mine'


def test_rejects_unsupported_layer_with_alternatives(small_nanodet, tmp_path, monkeypatch):
    def convert(*args, **kwargs):
        raise NotImplementedError("PyTorch convert function for op 'grid_sampler' not implemented.")

    monkeypatch.setattr(coremltools, 'convert', convert)
    with pytest.raises(UserError, match="coremltools cannot convert .*'grid_sampler'.* onnxruntime .*openvino"):
        export_model(*small_nanodet, tmp_path / 'd.mlpackage')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == 'darwin', reason='macOS runs it')
def test_rejects_package_on_another_system(small):
    with pytest.raises(UserError, match=r'small.mlpackage is for coreml, .*only on macOS.*onnxruntime .\.onnx'):
        Detector(small)


@pytest.mark.skipif(sys.platform != 'darwin', reason='Core ML runs on macOS only')
def test_core_ml_matches_pytorch(small, small_nanodet):
    image = draw_image(np.random.default_rng(0), size=130)[0][:100]
    wanted, found = _detect(load_detector(*small_nanodet, 'cpu'), image), Detector(small)(image)
    for score, box, label in list(zip(wanted.scores, wanted.boxes, wanted.labels))[:5]:
        assert (
            (found.labels == label)
            & (np.abs(found.scores - score) < 1e-3)
            & (np.abs(found.boxes - box).max(axis=1) < 0.1)
        ).any()
