import subprocess
import sys

import cv2
import mmcv
import numpy as np
import pytest
from conftest import ROOT
from mmdet.datasets import transforms
from tiny_graph import write

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.deploy import ExportedDetector
from mmdet_shufflenetv2.deploy.resizing import INTERPOLATIONS, Resize
from mmdet_shufflenetv2.models.nanodet import FitResize, WarpResize


@pytest.fixture
def detector(tmp_path):
    return ExportedDetector(write(tmp_path / 'd.onnx'))


@pytest.mark.parametrize('shape', [(100, 200), (200, 100), (7, 1000), (48, 64), (1, 1)])
def test_boxes_are_in_pixels_of_the_original_image(detector, shape):
    boxes, scores, labels = detector(np.zeros((*shape, 3), np.uint8))
    np.testing.assert_allclose(boxes, [[0, 0, shape[1], shape[0]]], rtol=1e-5)
    assert scores.tolist() == [0.75]
    assert detector.classes[labels[0]] == 'dog'


@pytest.mark.parametrize('scale', [(1333, 800), (320, 320), (640, 480)])
@pytest.mark.parametrize('shape', [(427, 640), (640, 427), (333, 500), (480, 480), (1080, 1921)])
def test_resized_size_matches_mmcv(scale, shape):
    expected = mmcv.imrescale(np.zeros((*shape, 3), np.uint8), scale).shape[:2]
    assert Resize(scale, keep_ratio=True, cut=False).size(*shape) == expected


@pytest.mark.parametrize('scale', [(224, 160), (160, 224), (320, 320)])
@pytest.mark.parametrize('shape', [(427, 640), (640, 427), (333, 500), (480, 480), (1080, 1921)])
def test_resized_size_matches_the_training(scale, shape):
    results = FitResize(scale).transform(dict(img=np.zeros((*shape, 3), np.uint8), img_shape=shape))
    assert Resize(scale, keep_ratio=True, cut=True, fit=True).size(*shape) == results['img_shape']


@pytest.mark.parametrize('shape', [(60, 90), (300, 200)])
@pytest.mark.parametrize(
    ('backend', 'interpolation'),
    [(backend, kind) for backend, kinds in INTERPOLATIONS.items() for kind in kinds if backend != 'warp'],
)
def test_resizing_matches_the_test_pipeline(backend, interpolation, shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    options = dict(scale=(192, 128), keep_ratio=True, backend=backend, interpolation=interpolation)
    expected = transforms.Resize(**options).transform(dict(img=image, img_shape=shape))['img']
    assert np.array_equal(Resize(cut=False, **options)(image), expected)


@pytest.mark.parametrize('shape', [(60, 90), (300, 200)])
def test_warping_matches_the_test_pipeline(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    expected = WarpResize(scale=(192, 128)).transform(dict(img=image))['img']
    assert np.array_equal(Resize((192, 128), keep_ratio=False, cut=True, backend='warp')(image), expected)


@pytest.mark.parametrize(
    ('image', 'words'),
    [
        (None, ['could not be read']),
        ('photo.jpg', ['got str', 'cv2.imread']),
        (np.zeros((4, 4), np.uint8), ['(4, 4) of uint8']),
        (np.zeros((4, 4, 4), np.uint8), ['(4, 4, 4)']),
        (np.zeros((3, 4, 4), np.uint8), ['(3, 4, 4)', '(H, W, 3)']),
        (np.zeros((4, 4, 3), np.float32), ['float32', 'uint8']),
        (np.zeros((0, 4, 3), np.uint8), ['(0, 4, 3)']),
    ],
)
def test_rejects_what_is_not_an_image(detector, image, words):
    with pytest.raises(UserError) as error:
        detector(image)
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (None, ['File not found', 'snv2 export']),
        (b'not a graph', ['cannot be read as an ONNX graph']),
        ({}, ['was not made by snv2 export']),
        ({'mmdet_shufflenetv2': '0'}, ['is a backbone', '`backbone_only`']),
    ],
)
def test_rejects_file_of_other_origin(content, words, tmp_path):
    path = tmp_path / 'd.onnx'
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        write(path, content)
    with pytest.raises(UserError) as error:
        ExportedDetector(path)
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize('threads', [0, -3])
def test_rejects_invalid_number_of_threads(threads, tmp_path):
    with pytest.raises(UserError, match=f'threads={threads} .*expected 1 or more'):
        ExportedDetector(write(tmp_path / 'd.onnx'), threads=threads)


def test_runs_without_pytorch_and_openmmlab(tmp_path):
    write(tmp_path / 'd.onnx')
    cv2.imwrite(str(tmp_path / 'photo.png'), np.zeros((20, 30, 3), np.uint8))
    script = """
import sys
for name in ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet'):
    sys.modules[name] = None
import cv2
from mmdet_shufflenetv2.deploy import ExportedDetector
boxes, scores, labels = ExportedDetector('d.onnx')(cv2.imread('photo.png'))
print(boxes.tolist(), labels.tolist())
import mmdet_shufflenetv2
print(mmdet_shufflenetv2.Detector('d.onnx')('photo.png').scores.tolist())
try:
    mmdet_shufflenetv2.ShuffleNetV2
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, '-c', script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env={'PYTHONPATH': str(ROOT)},
        check=False,
    )
    assert done.stdout.splitlines()[0] == '[[0.0, 0.0, 30.0, 20.0]] [1]', done.stderr
    assert done.stdout.splitlines()[1] == '[0.75]', done.stderr
    assert "No module named 'torch', which mmdet_shufflenetv2.ShuffleNetV2 needs" in done.stdout
