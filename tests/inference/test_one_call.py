import numpy as np
import pytest
from conftest import ROOT, SHARED, needs_shared
from tiny_graph import write

from mmdet_shufflenetv2 import Detector, UserError

NANODET = ROOT / 'configs' / 'nanodet_m_snv2.py'


@pytest.fixture
def graph(tmp_path):
    return write(tmp_path / 'd.onnx')


def test_list_gives_a_list_and_files_equal_arrays(graph, tmp_path):
    import cv2

    image = np.zeros((20, 30, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'photo.png'), image)
    detector = Detector(graph)
    one, many = detector(image), detector([tmp_path / 'photo.png', np.zeros((5, 6, 3), np.uint8)])
    assert detector.classes == ('cat', 'dog')
    assert one.boxes.tolist() == many[0].boxes.tolist() == [[0, 0, 30, 20]]
    assert many[1].boxes.tolist() == [[0, 0, 6, 5]]
    assert detector([]) == []


@pytest.mark.parametrize(
    ('arguments', 'options', 'words'),
    [
        (['d.onnx', 'weights.pth'], {}, 'Remove weights.pth'),
        (['d.onnx'], dict(device='cuda:0', shuffle_free=True), 'Remove `device`, `shuffle_free`'),
        ([NANODET], {}, 'needs weights'),
        (['nowhere.onnx'], {}, 'File not found: nowhere.onnx'),
    ],
)
def test_rejects_invalid_arguments(arguments, options, words, graph, monkeypatch):
    monkeypatch.chdir(graph.parent)
    with pytest.raises(UserError, match=words):
        Detector(*arguments, **options)


@pytest.mark.parametrize('image', [None, np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
@needs_shared('weights')
def test_pytorch_detector_rejects_what_is_not_an_image(image):
    detector = Detector(None, SHARED / 'weights' / 'nanodet_m_320.pth', device='cpu')
    with pytest.raises(UserError, match='uint8'):
        detector([image])


@needs_shared('weights')
@needs_shared('coco_tiny')
@pytest.mark.parametrize('shuffle_free', [False, True])
def test_batch_matches_mmdetection(shuffle_free):
    from mmdet.apis import inference_detector

    from mmdet_shufflenetv2.config.detector import load_detector

    weights = SHARED / 'weights' / 'nanodet_m_320.pth'
    images = sorted(map(str, (SHARED / 'coco_tiny' / 'val2017').iterdir()))[:3]
    model = load_detector(NANODET, weights, 'cpu')
    detector = Detector(NANODET, weights, device='cpu', shuffle_free=shuffle_free)
    for (boxes, scores, labels), sample in zip(detector(images), inference_detector(model, images)):
        expected = sample.pred_instances.numpy()
        height, width = sample.ori_shape
        strong = expected.scores > 0.1
        np.testing.assert_allclose(scores[: strong.sum()], expected.scores[strong], atol=1e-4)
        np.testing.assert_allclose(
            boxes[: strong.sum()], expected.bboxes[strong].clip(0, [width, height, width, height]), atol=0.05
        )
        assert (labels[: strong.sum()] == expected.labels[strong]).all()


def test_supervision_accepts_the_detections(graph):
    sv = pytest.importorskip('supervision')
    found = Detector(graph)(np.zeros((20, 30, 3), np.uint8))
    detections = sv.Detections.from_mmdetection(found)
    assert detections == sv.Detections(xyxy=found.boxes, confidence=found.scores, class_id=found.labels)
    assert type(detections.xyxy) is np.ndarray
