"""Files for ncnn, made by pnnx and run by ncnn's own package."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT, SHARED, needs_shared

from mmdet_shufflenetv2 import Detector, UserError
from mmdet_shufflenetv2.config.detector import load_detector
from mmdet_shufflenetv2.data.shapes import draw_image
from mmdet_shufflenetv2.deploy import export_model
from mmdet_shufflenetv2.deploy.check import _detect
from mmdet_shufflenetv2.deploy.ncnn_int8 import read_layers, write_int8
from mmdet_shufflenetv2.deploy.targets.ncnn import _net

ncnn = pytest.importorskip('ncnn', reason="needs ncnn: pip install '.[ncnn]'")
pytest.importorskip('pnnx', reason="needs pnnx: pip install '.[ncnn]'")


@pytest.fixture(scope='module')
def small(small_nanodet, tmp_path_factory):
    """Config, checkpoint and a file of a small NanoDet-m in half precision."""
    (config, checkpoint), out = small_nanodet, tmp_path_factory.mktemp('ncnn') / 'small.param'
    export_model(config, checkpoint, out, precision='fp16')
    return config, checkpoint, out


@pytest.mark.parametrize('size', [50, 130])
def test_file_matches_pytorch(small, size):
    config, checkpoint, out = small
    image = draw_image(np.random.default_rng(size), size=size)[0][: size * 3 // 4]
    wanted = _detect(load_detector(config, checkpoint, 'cpu'), image)
    detector = Detector(out)
    assert len(detector.classes) == 80
    found = detector(image)
    # Weights are rounded, so that a few boxes near the threshold or one another may differ.
    assert len(wanted.scores) > 5
    for score, box, label in list(zip(wanted.scores, wanted.boxes, wanted.labels))[:5]:
        assert (
            (found.labels == label)
            & (np.abs(found.scores - score) < 0.02)
            & (np.abs(found.boxes - box).max(axis=1) < 2)
        ).any()


@pytest.mark.parametrize('kind', ['.bin', '.json'])
def test_rejects_file_without_its_additional_files(small, kind, tmp_path):
    for suffix in {'.param', '.bin', '.json'} - {kind}:
        shutil.copy(small[2].with_suffix(suffix), tmp_path)
    with pytest.raises(UserError, match=f'small.param needs small{kind} beside it'):
        Detector(tmp_path / 'small.param')


@pytest.mark.parametrize(('content', 'words'), [('{', 'corrupt'), ('{}', 'not made by snv2 export')])
def test_rejects_invalid_description(small, content, words, tmp_path):
    for suffix in ('.param', '.bin'):
        shutil.copy(small[2].with_suffix(suffix), tmp_path)
    (tmp_path / 'small.json').write_text(content)
    with pytest.raises(UserError, match=f'small.json .*{words}'):
        Detector(tmp_path / 'small.param')


def test_rejects_unknown_ncnn_layer(small, tmp_path):
    for suffix in ('.bin', '.json'):
        shutil.copy(small[2].with_suffix(suffix), tmp_path)
    text = small[2].read_text().replace('ConvolutionDepthWise', 'NoSuchLayer')
    (tmp_path / 'small.param').write_text(text)
    with pytest.raises(UserError, match='cannot be read by ncnn: it has no layer NoSuchLayer'):
        Detector(tmp_path / 'small.param')


def test_description_is_complete(small):
    about = json.loads(small[2].with_suffix('.json').read_text())
    assert about['input']['size'] == [64, 64]
    assert about['selection']['iou_threshold'] == 0.6
    assert about['precision'] == 'fp16'
    assert len(about['classes']) == len(about['category_ids']) == 80


@pytest.mark.parametrize(('out', 'there'), [('d.param', 'd.xml'), ('d.xml', 'd.param'), ('d.param', 'd.json')])
def test_unrelated_files_are_not_replaced(out, there, tmp_path):
    (tmp_path / there).write_text('mine')
    with pytest.raises(UserError, match=f'{there}.* Choose another name'):
        export_model('config.py', 'checkpoint.pth', tmp_path / out)
    assert (tmp_path / there).read_text() == 'mine'


def test_int8_applies_to_inner_convolutions(small, tmp_path):
    out = tmp_path / 'd.param'
    cv2.imwrite(str(tmp_path / 'photo.png'), draw_image(np.random.default_rng(0), size=100)[0])
    checked = export_model(*small[:2], out, precision='int8', data=tmp_path)
    layers = read_layers(out.read_text())
    plain = [layer for layer in layers if layer.kind == 'Convolution']
    last = [layer for layer in plain if layer.params['0'] == str(80 + 4 * 8)]
    assert len(last) == 3
    assert [layer for layer in plain if '8' not in layer.params] == [plain[0], *last]
    assert not any('8' in layer.params for layer in layers if layer.kind == 'ConvolutionDepthWise')
    assert checked.agreement > 0.8
    assert json.loads(out.with_suffix('.json').read_text())['precision'] == 'int8'
    assert out.with_suffix('.bin').stat().st_size < 0.7 * small[2].with_suffix('.bin').stat().st_size


GATED = """7767517
8 9
Input input 0 1 input
Convolution conv_0 1 1 input a 0=4 1=3 4=1 5=1 6=108
Split split_0 1 2 a b c
Pooling pool_0 1 1 b d 0=1 4=1
InnerProduct fc_0 1 1 d e 0=4 1=1 2=16
BinaryOp mul_0 2 1 c e f 0=2
Convolution conv_1 1 1 f g 0=5 1=1 5=1 6=20 9=2 -23310=1,0.1
Convolution conv_2 1 1 g boxes 0=3 1=1 5=0 6=15
"""


@pytest.fixture(params=['<f4', '<f2'])
def gated(request, tmp_path):
    """A file with a squeeze-and-excitation gate, written by hand, its weights and biases."""
    rng, dtype, content = np.random.default_rng(0), request.param, b''
    weights = [rng.normal(size=size).astype(dtype) for size in (108, 16, 20, 15)]
    biases = [rng.normal(size=size).astype('<f4') for size in (4, 4, 5, 0)]
    weights[2][:4] = 0  # a channel without weights
    for weight, bias in zip(weights, biases):
        content += b'\0\0\0\0' if dtype == '<f4' else b'\x47\x6b\x30\x01'
        content += weight.tobytes() + bytes(-weight.nbytes % 4) + bias.tobytes()
    (tmp_path / 'gated.param').write_text(GATED)
    (tmp_path / 'gated.bin').write_bytes(content)
    return tmp_path / 'gated.param', weights, biases


def test_int8_matches_pytorch_with_rounded_values(gated):
    path, weights, biases = gated
    inputs = [(np.random.default_rng(seed).normal(size=(3, 6, 7)) * seed).astype(np.float32) for seed in (1, 2)]
    write_int8(path, _net(path, 1, 'fp32'), inputs)
    conv_0, fc_0, conv_1, conv_2 = (torch.from_numpy(weight.astype(np.float32)) for weight in weights)
    bias = [torch.from_numpy(bias) for bias in biases]

    def gate(x):
        x = F.conv2d(torch.from_numpy(x)[None], conv_0.reshape(4, 3, 3, 3), bias[0], padding=1)
        return x * F.linear(x.mean((2, 3)), fc_0.reshape(4, 4), bias[1])[..., None, None]

    step = np.mean([gate(x).abs().max() for x in inputs]) / 127
    conv_1 = conv_1.reshape(5, 4, 1, 1)
    steps = conv_1.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-9) / 127
    x = (gate(inputs[1]) / step).round().clamp(-127, 127) * step
    x = F.leaky_relu(F.conv2d(x, (conv_1 / steps).round() * steps, bias[2]), 0.1)
    wanted = F.conv2d(x, conv_2.reshape(3, 5, 1, 1))[0]
    extractor = _net(path, 1, 'fp32').create_extractor()
    extractor.input('input', ncnn.Mat(inputs[1]).clone())
    got = np.array(extractor.extract('boxes')[1])
    assert np.abs(got - wanted.numpy()).max() < 1e-4 * wanted.abs().max()
    assert [layer.name for layer in read_layers(path.read_text()) if layer.params.get('8') == '1'] == ['conv_1']


def test_rejects_weights_of_unknown_layers(gated):
    path = gated[0]
    path.write_text(GATED.replace('Split split_0 1 2 a b c', 'PReLU act 1 1 a p 0=4\nSplit split_0 1 2 p b c'))
    content = path.with_suffix('.bin').read_bytes()
    end = content.index(gated[2][0].tobytes()) + 16  # of the first layer
    path.with_suffix('.bin').write_bytes(content[:end] + np.full(4, 0.25, '<f4').tobytes() + content[end:])
    path.write_text(path.read_text().replace('8 9', '9 10', 1))
    with pytest.raises(UserError, match='int8 is not supported for this detector in ncnn: a layer before fc_0'):
        write_int8(path, _net(path, 1, 'fp32'), [np.ones((3, 6, 7), np.float32)])


@needs_shared('weights')
@pytest.mark.slow
@pytest.mark.parametrize('kind', ['nanodet_m', 'nanodet_plus_m'])
def test_published_weights_agree_in_int8(kind, tmp_path):
    checked = export_model(
        ROOT / 'configs' / f'{kind}_snv2.py',
        SHARED / 'weights' / f'{kind}_320.pth',
        tmp_path / 'd.param',
        precision='int8',
        data=SHARED / 'coco_tiny' / 'train2017',
    )
    assert checked.agreement >= 0.95
