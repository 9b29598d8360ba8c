"""Files for LiteRT, run by its own package: single operators compared with PyTorch, then complete detectors."""

import json
from collections import Counter

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from families import Pyramid, exportable
from mmdet.utils import register_all_modules
from test_heads import small_detector
from torch import nn

from mmdet_shufflenetv2 import Detector, UserError
from mmdet_shufflenetv2.config.detector import load_detector
from mmdet_shufflenetv2.config.options import ExportOptions
from mmdet_shufflenetv2.data.shapes import draw_image
from mmdet_shufflenetv2.deploy import export_model
from mmdet_shufflenetv2.deploy.check import _detect
from mmdet_shufflenetv2.deploy.export import export_detector
from mmdet_shufflenetv2.deploy.onnx_graph import fold_constants, write_graph
from mmdet_shufflenetv2.deploy.priors_network import surroundings
from mmdet_shufflenetv2.deploy.targets import TARGETS

pytest.importorskip('ai_edge_litert', reason="needs ai-edge-litert: pip install '.[litert]'")

import onnx
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools.flatbuffer_utils import read_model

from mmdet_shufflenetv2.deploy.tflite import to_tflite, write_tflite
from mmdet_shufflenetv2.deploy.tflite_precision import to_int8


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def shuffled(x):
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


OPERATORS = {
    'convolution': nn.Conv2d(8, 12, 3, padding=1),
    'convolution without bias': nn.Conv2d(8, 12, 1, bias=False),
    'convolution with stride': nn.Conv2d(8, 12, 3, stride=2, padding=1),
    'convolution with stride, no padding': nn.Conv2d(8, 12, 3, stride=2),
    'dilated convolution': nn.Conv2d(8, 12, 3, padding=2, dilation=2),
    'depthwise convolution': nn.Conv2d(8, 8, 5, padding=2, groups=8),
    'depthwise convolution with stride': nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=8),
    'grouped convolution': nn.Conv2d(8, 12, 3, padding=1, groups=4),
    'ReLU behind a convolution': nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU()),
    'ReLU6 behind a convolution': nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU6()),
    'ReLU behind a convolution that is used twice': Function(
        lambda x: F.relu(y := F.conv2d(x, torch.eye(8)[..., None, None])) - y
    ),
    'activations': nn.Sequential(nn.LeakyReLU(0.1), nn.Hardswish(), nn.Hardsigmoid(), nn.Sigmoid(), nn.Tanh()),
    'clamp': Function(lambda x: x.clamp(-0.5, 0.7) + x.clamp(max=0.1)),
    'max pooling with padding': nn.MaxPool2d(3, 2, 1),
    'max pooling of padding size': nn.MaxPool2d(5, 1, 2),
    'average pooling': nn.AvgPool2d(2, 2),
    'global average pooling': nn.AdaptiveAvgPool2d(1),
    'bilinear upsampling': nn.Upsample(scale_factor=2, mode='bilinear'),
    'bilinear downsampling': Function(lambda x: F.interpolate(x[..., :8], scale_factor=0.5, mode='bilinear')),
    'bilinear upsampling with aligned corners': nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True),
    'nearest upsampling': nn.Upsample(scale_factor=2),
    'channel shuffle': Function(shuffled),
    'channel shuffle between convolutions': nn.Sequential(nn.Conv2d(8, 8, 1), Function(shuffled), nn.Conv2d(8, 8, 1)),
    'split, sum and concatenation': Function(lambda x: torch.cat((x[:, :3] + x[:, 5:], *x.split((3, 5), 1)), 1)),
    'slice with steps': Function(lambda x: x[:, :, ::2, 1::2]),
    'selected channels': Function(lambda x: x.index_select(1, torch.tensor([3, 1, 1]))),
    'one channel': Function(lambda x: torch.stack((x[:, 2], x[:, -1]), -1)),
    'logits as rows': Function(lambda x: x.permute(0, 2, 3, 1).reshape(-1, 4)),
    'logits as columns': Function(lambda x: x.flatten(2)),
    'softmax of channels': nn.Softmax(1),
    'softmax of bins': Function(lambda x: x.permute(0, 2, 3, 1).reshape(-1, 4).softmax(1)),
    'linear layer': Function(lambda x: F.linear(x, torch.arange(27.0).view(3, 9))),
    'one factor a channel': Function(lambda x: x * torch.arange(8.0)[:, None, None] / 3),
    'operands of fewer axes': Function(lambda x: x.permute(0, 2, 3, 1) - x[0, :, 0, 0] + x.amax(1)[..., None]),
    'mean of channels': Function(lambda x: x.mean(1) + x.sum((1, 3), keepdim=True)[:, 0]),
    'arithmetic': Function(lambda x: ((x * x + 1).sqrt().exp() - x.pow(2)) / (-x.floor() + 9)),
    'larger and smaller': Function(lambda x: torch.maximum(x, x * x).minimum(x + 1)),
    'instance norm': nn.InstanceNorm2d(8, affine=True),
    'group norm': nn.GroupNorm(4, 8),
}


def written(module, x, folder):
    write_graph(module, x, folder / 'traced.onnx', dict(x={}), dict(y={}))
    fold_constants(folder / 'traced.onnx', folder / 'd.onnx')
    write_tflite(to_tflite(onnx.load(folder / 'd.onnx'))[0], folder / 'd.tflite', {})
    return folder / 'd.tflite'


def computed(path, x):
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]['index'], x.permute(0, 2, 3, 1).numpy())
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]['index'])


@pytest.mark.parametrize('name', OPERATORS)
def test_operator_matches_pytorch(name, tmp_path):
    torch.manual_seed(0)
    module = OPERATORS[name].eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(1, 8, 10, 9)
    with torch.no_grad():
        wanted = module(x).numpy()
    np.testing.assert_allclose(computed(written(module, x, tmp_path), x), wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ('module', 'words'),
    [
        (nn.Upsample(scale_factor=0.5, mode='bilinear'), 'Resize with a fraction of a pixel cut off'),
        (nn.Upsample(scale_factor=2, mode='bicubic'), 'Resize with cubic'),
        (nn.MaxPool2d(3, 2, ceil_mode=True), 'MaxPool with .*ceil_mode'),
        (nn.AvgPool2d(3, 1, 1), 'AveragePool with these pads'),
        (Function(lambda x: x @ x.transpose(2, 3)), 'MatMul with input 1 that is computed'),
        (Function(lambda x: x.sin()), 'does not support Sin of this detector'),
    ],
    ids=['fraction', 'bicubic', 'ceil_mode', 'average with padding', 'product of features', 'sine'],
)
def test_rejects_unsupported_operators_by_name(module, words, tmp_path):
    with pytest.raises(UserError, match=f'target=litert does not support .*{words.split("support ")[-1]}.*onnxruntime'):
        written(module, torch.randn(1, 8, 10, 9), tmp_path)


IN_8_BITS = [
    *(name for name in OPERATORS if 'convolution' in name and 'used twice' not in name),
    *('max pooling of padding size', 'average pooling', 'global average pooling', 'bilinear upsampling'),
    *('nearest upsampling', 'channel shuffle', 'split, sum and concatenation', 'slice with steps', 'selected channels'),
]
OPERATORS_IN_8_BITS = {name: OPERATORS[name] for name in IN_8_BITS} | {
    'leaky ReLU': nn.LeakyReLU(0.1),
    'SiLU': nn.SiLU(),
    'concatenation of other ranges': Function(lambda x: torch.cat((x, x.relu().sigmoid(), x * x * x), 1)),
}


class Between(nn.Module):
    """An operator behind two convolutions and before a linear layer; the first and the last layer stay in float."""

    def __init__(self, module, x):
        super().__init__()
        self.inside = nn.Sequential(nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1), module)
        self.last = nn.Linear(self.inside(x).numel(), 64)

    def forward(self, x):
        return self.last(self.inside(x).reshape(1, -1))


def written_in_8_bits(module, inputs, folder):
    written(module, inputs[0], folder)
    graph = onnx.load(folder / 'd.onnx')
    model, nodes = to_tflite(graph)
    to_int8(model, nodes, graph.graph, [x.permute(0, 2, 3, 1).numpy() for x in inputs])
    write_tflite(model, folder / 'd.tflite', {})
    return folder / 'd.tflite'


@pytest.mark.parametrize('name', OPERATORS_IN_8_BITS)
def test_int8_operator_matches_pytorch(name, tmp_path):
    torch.manual_seed(0)
    x = torch.randn(1, 8, 10, 9)
    module = Between(OPERATORS_IN_8_BITS[name], x).eval()
    path = written_in_8_bits(module, [x, x / 2], tmp_path)
    with torch.no_grad():
        wanted = module(x).numpy()
    assert np.linalg.norm(computed(path, x) - wanted) < 0.03 * np.linalg.norm(wanted)
    kinds = [one['op_name'] for one in Interpreter(str(path))._get_ops_details()]
    assert kinds.count('DEQUANTIZE') == 1


def test_feature_maps_stay_in_one_layout(small, tmp_path):
    """Transposes would cost more time than the layout saves."""
    interpreter = Interpreter(str(small))
    operators = [one['op_name'] for one in interpreter._get_ops_details()]
    assert operators.count('DEPTHWISE_CONV_2D') > 20
    assert 'TRANSPOSE' not in operators


@pytest.fixture(scope='module')
def small(small_nanodet, tmp_path_factory):
    """A file of a small NanoDet-m."""
    out = tmp_path_factory.mktemp('litert') / 'small.tflite'
    export_model(*small_nanodet, out)
    return out


@pytest.mark.parametrize('size', [50, 130])
def test_file_matches_pytorch(small, small_nanodet, size):
    image = draw_image(np.random.default_rng(size), size=size)[0][: size * 3 // 4]
    wanted = _detect(load_detector(*small_nanodet, 'cpu'), image)
    found = Detector(small)(image)
    assert len(wanted.scores) > 5
    for score, box, label in list(zip(wanted.scores, wanted.boxes, wanted.labels))[:5]:
        assert (
            (found.labels == label)
            & (np.abs(found.scores - score) < 1e-3)
            & (np.abs(found.boxes - box).max(axis=1) < 0.1)
        ).any()


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """A folder of images to calibrate on."""
    folder = tmp_path_factory.mktemp('photos')
    for number in range(8):
        cv2.imwrite(str(folder / f'{number}.png'), draw_image(np.random.default_rng(number), size=100)[0])
    return folder


def test_half_precision_halves_the_weights(small, small_nanodet, tmp_path):
    export_model(*small_nanodet, out := tmp_path / 'd.tflite', precision='fp16')  # which compares the numbers
    model = read_model(str(out))
    kinds = Counter(one.type for one in model.subgraphs[0].tensors if one.buffer and len(one.shape) == 4)
    assert set(kinds) == {schema.TensorType.FLOAT16}
    assert out.stat().st_size < 0.6 * small.stat().st_size
    assert Detector(out).classes == Detector(small).classes


def test_int8_weights_have_a_scale_for_each_channel(small, small_nanodet, photos, tmp_path):
    out = tmp_path / 'd.tflite'
    checked = export_model(*small_nanodet, out, precision='int8', data=str(photos))
    assert checked.agreement > 0.8
    subgraph = (model := read_model(str(out))).subgraphs[0]
    layers = [one for one in subgraph.operators if 'Conv2DOptions' in type(one.builtinOptions).__name__]
    layers = [[subgraph.tensors[one] for one in (*layer.inputs, *layer.outputs)] for layer in layers]
    in_fp32 = [layer for layer in layers if layer[1].type == schema.TensorType.FLOAT32]
    assert len(in_fp32) == 1 + 3  # NanoDet-m's head has one last layer on each level
    for x, weight, bias, made in layers:
        if weight.type == schema.TensorType.FLOAT32:
            continue
        channels = weight.shape[weight.quantization.quantizedDimension]
        assert len(weight.quantization.scale) == len(bias.quantization.scale) == channels == made.shape[-1]
        assert x.type == made.type == weight.type == schema.TensorType.INT8
        assert bias.type == schema.TensorType.INT32
        assert not np.any(weight.quantization.zeroPoint)
        assert np.abs(model.buffers[weight.buffer].data.view(np.int8).astype(int)).max() == 127
    assert Detector(out).classes == Detector(small).classes


@pytest.mark.parametrize('name', ['RTMDet', pytest.param('FCOS', marks=pytest.mark.slow)])
def test_int8_scores_and_boxes_match(name, photos, tmp_path):
    register_all_modules(init_default_scope=True)
    program = export_detector(small_detector(name), tmp_path / 'd.onnx', cv2.imread(str(photos / '0.png')), None)
    found, x = {}, surroundings(*program[:3], 'litert').x.transpose(1, 2, 0)[None]
    for precision, data in (('fp32', None), ('int8', str(photos))):
        options = ExportOptions(None, '', '', precision=precision, data=data)
        TARGETS['litert'].export(program, path := tmp_path / f'{precision}.tflite', options)
        found[precision] = Interpreter(str(path)).get_signature_runner()(input=x)
    assert np.abs(found['int8']['scores'] - found['fp32']['scores']).mean() < 0.01
    assert np.abs(found['int8']['boxes'] - found['fp32']['boxes']).mean() < 2.0


def test_file_has_complete_metadata(small):
    model = read_model(str(small))
    about = {one.name.decode(): json.loads(bytes(model.buffers[one.buffer].data)) for one in model.metadata}
    assert about['input']['size'] == [64, 64]
    assert about['selection']['iou_threshold'] == 0.6
    assert len(about['classes']) == len(about['category_ids']) == 80
    runner = Interpreter(str(small)).get_signature_runner()
    assert runner.get_input_details()['input']['shape'].tolist() == [1, 64, 64, 3]
    assert set(runner.get_output_details()) == {'boxes', 'scores'}


@pytest.mark.parametrize('name', ['RetinaNet', 'FCOS', 'RTMDet', 'SSDLite'])
def test_exports_other_one_stage_detectors(name, tmp_path):
    register_all_modules(init_default_scope=True)
    model = exportable(name, (96, 64))
    model.backbone = Pyramid(model.backbone)
    image = draw_image(np.random.default_rng(0), size=96)[0]
    program = export_detector(model, tmp_path / 'd.onnx', image, None)
    scores, boxes = TARGETS['litert'].export(program, tmp_path / 'd.tflite', ExportOptions(None, '', ''))
    assert scores < 1e-4
    assert boxes < 0.01


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('Faster R-CNN', 'target=litert .*one-stage detectors'),
        ('TOOD (deformable)', 'target=litert does not support .*GridSample'),
    ],
)
def test_rejects_unsupported_detector_with_alternatives(name, words, tmp_path):
    register_all_modules(init_default_scope=True)
    model = exportable(name, (96, 64))
    model.backbone = Pyramid(model.backbone)
    program = export_detector(model, tmp_path / 'd.onnx', draw_image(np.random.default_rng(0), size=96)[0], None)
    with pytest.raises(UserError, match=f'{words}.* onnxruntime .*openvino'):
        TARGETS['litert'].export(program, tmp_path / 'd.tflite', ExportOptions(None, '', ''))


def test_file_with_wrong_outputs_is_not_written(small_nanodet, tmp_path, monkeypatch):
    from mmdet_shufflenetv2.deploy import tflite

    monkeypatch.setitem(tflite._OPERATORS, 'LeakyRelu', tflite._unary('RELU'))
    with pytest.raises(UserError, match='do not match .*: (boxes|scores) differ'):
        export_model(*small_nanodet, tmp_path / 'd.tflite')
    assert list(tmp_path.iterdir()) == []


def test_rejects_file_of_another_program(tmp_path):
    path = written(nn.Conv2d(3, 3, 1), torch.rand(1, 3, 4, 4), tmp_path)
    with pytest.raises(UserError, match='was not made by snv2 export'):
        Detector(path)


def test_rejects_truncated_file(small, tmp_path):
    (tmp_path / 'd.tflite').write_bytes(small.read_bytes()[:1000])
    with pytest.raises(UserError, match='d.tflite cannot be read by LiteRT'):
        Detector(tmp_path / 'd.tflite')
