"""NanoDet's published weights through the tools: COCO's metrics, and the same boxes as a direct computation."""

import json

import cv2
import nanodet_plus_reference
import nanodet_reference
import numpy as np
import pytest
import torch
from conftest import ROOT, SHARED, needs_shared
from torchvision.ops import box_iou

from mmdet_shufflenetv2.config.detector import category_ids

pytestmark = [needs_shared('weights'), needs_shared('coco_tiny')]

CONFIGS = {
    'm_320': 'nanodet_m_snv2',
    'm_416': 'nanodet_m_snv2_416',
    'plus_m_320': 'nanodet_plus_m_snv2',
    'plus_m_416': 'nanodet_plus_m_snv2_416',
    'plus_m_1.5x_416': 'nanodet_plus_m_snv2_1.5x_416',
}
IMAGES = SHARED / 'coco_tiny' / 'val2017'


def config(name):
    return ROOT / 'configs' / f'{CONFIGS[name]}.py'


def weights(name):
    return SHARED / 'weights' / f'nanodet_{name}.pth'


def expected_detections(image, name):
    from mmdet.datasets import CocoDataset

    state_dict = {
        key: value.float() for key, value in torch.load(weights(name), weights_only=True)['state_dict'].items()
    }
    detect = nanodet_plus_reference.detect if 'plus' in name else nanodet_reference.detect
    boxes, scores, labels = detect(state_dict, cv2.imread(str(image)), int(name[-3:]))
    ids = category_ids(CocoDataset.METAINFO['classes'])
    return boxes, scores.tolist(), [ids[label] for label in labels]


def assert_same_detections(results, boxes, scores, categories):
    assert len(results) == len(scores)
    # Scores that are equal to five digits may change places.
    ours = sorted(results, key=lambda r: (-round(r['score'], 5), r['category_id'], r['bbox']))
    order = sorted(range(len(scores)), key=lambda i: (-round(scores[i], 5), categories[i], *boxes[i]))
    assert [r['category_id'] for r in ours] == [categories[i] for i in order]
    assert [r['score'] for r in ours] == pytest.approx([scores[i] for i in order], abs=1e-4)
    x, y, w, h = np.array([r['bbox'] for r in ours]).T
    assert np.allclose(np.stack((x, y, x + w, y + h), axis=1), boxes[order], atol=0.02)


# What NanoDet's own evaluation gives for these weights on these images; of NanoDet-m clipped to the image.
@pytest.mark.parametrize(
    ('name', 'expected', 'flags'),
    [
        ('m_320', 0.255, []),
        pytest.param('m_416', 0.270, [], marks=pytest.mark.slow),
        pytest.param('plus_m_320', 0.328, ['--shuffle-free'], marks=pytest.mark.slow),
        pytest.param('plus_m_416', 0.371, [], marks=pytest.mark.slow),
        pytest.param('plus_m_1.5x_416', 0.418, [], marks=pytest.mark.slow),
    ],
)
def test_published_weights_have_their_metrics_on_coco(tool, tmp_path, name, expected, flags):
    ended = tool(
        'test.py',
        config(name),
        weights(name),
        '--data-root',
        SHARED / 'coco_tiny',
        '--work-dir',
        tmp_path,
        '--out',
        tmp_path / 'results.json',
        *flags,
    )
    assert ended.status == 0, ended.err
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert metrics['coco/bbox_mAP'] == pytest.approx(expected, abs=0.0015)
    results = json.loads((tmp_path / 'results.json').read_text())
    for image in sorted(IMAGES.iterdir())[:6]:
        found = [result for result in results if result['image_id'] == int(image.stem)]
        assert_same_detections(found, *expected_detections(image, name))


@pytest.mark.slow
def test_tta_keeps_the_best_boxes(tool, tmp_path):
    ended = tool(
        'test.py',
        config('m_320'),
        weights('m_320'),
        '--data-root',
        SHARED / 'coco_tiny',
        '--work-dir',
        tmp_path,
        '--tta',
        '--out',
        tmp_path / 'results.json',
        '--cfg-options',
        'test_dataloader.dataset.indices=5',
    )
    assert ended.status == 0, ended.err
    results = json.loads((tmp_path / 'results.json').read_text())
    for number in {result['image_id'] for result in results}:
        best = max((result for result in results if result['image_id'] == number), key=lambda r: r['score'])
        boxes, _, categories = expected_detections(IMAGES / f'{number:012d}.jpg', 'm_320')
        same = torch.from_numpy(boxes[np.array(categories) == best['category_id']])
        x, y, w, h = best['bbox']
        assert box_iou(torch.tensor([[x, y, x + w, y + h]], dtype=same.dtype), same).max() > 0.8


@pytest.mark.parametrize(('named', 'name'), [([], 'm_320'), ([config('m_416')], 'm_416')], ids=['no config', '416'])
def test_infer_needs_only_the_weights(tool, tmp_path, monkeypatch, named, name):
    monkeypatch.chdir(tmp_path)
    image = sorted(IMAGES.iterdir())[1]
    ended = tool('infer.py', *named, weights(name), image, '--device', 'cpu')
    assert ended.status == 0, ended.err
    boxes, scores, categories = expected_detections(image, name)
    assert_same_detections(json.loads((tmp_path / 'outputs' / 'results.json').read_text()), boxes, scores, categories)
    assert (tmp_path / 'outputs' / 'vis' / image.name).is_file()
