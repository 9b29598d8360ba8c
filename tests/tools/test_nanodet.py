"""NanoDet-m's published weights through the tools: COCO's metrics, and the same boxes as a direct computation."""

import json

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT, SHARED, needs_shared
from nanodet_reference import detect
from torchvision.ops import box_iou

from mmdet_shufflenetv2.config.detector import category_ids

pytestmark = [needs_shared('weights'), needs_shared('coco_tiny')]

CONFIGS = {320: ROOT / 'configs' / 'nanodet_m_snv2.py', 416: ROOT / 'configs' / 'nanodet_m_snv2_416.py'}
IMAGES = SHARED / 'coco_tiny' / 'val2017'


def weights(size):
    return SHARED / 'weights' / f'nanodet_m_{size}.pth'


def expected_detections(image, size):
    from mmdet.datasets import CocoDataset
    state_dict = torch.load(weights(size), weights_only=True)['state_dict']
    boxes, scores, labels = detect(state_dict, cv2.imread(str(image)), size)
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


# What NanoDet's own clipping to the image gives for these weights on these images.
@pytest.mark.parametrize(('size', 'expected'), [
    (320, (0.255, 0.444)), pytest.param(416, (0.270, 0.446), marks=pytest.mark.slow)])
def test_the_published_weights_give_their_metrics_on_coco(tool, tmp_path, size, expected):
    ended = tool('test.py', CONFIGS[size], weights(size), '--data-root', SHARED / 'coco_tiny', '--work-dir', tmp_path,
                 '--out', tmp_path / 'results.json')
    assert ended.status == 0, ended.err
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert (metrics['coco/bbox_mAP'], metrics['coco/bbox_mAP_50']) == pytest.approx(expected, abs=0.0015)
    results = json.loads((tmp_path / 'results.json').read_text())
    for image in sorted(IMAGES.iterdir())[:6]:
        found = [result for result in results if result['image_id'] == int(image.stem)]
        assert_same_detections(found, *expected_detections(image, size))


def test_averaging_with_the_mirror_image_finds_the_best_boxes_in_the_same_place(tool, tmp_path):
    ended = tool('test.py', CONFIGS[320], weights(320), '--data-root', SHARED / 'coco_tiny', '--work-dir', tmp_path,
                 '--tta', '--out', tmp_path / 'results.json', '--cfg-options', 'test_dataloader.dataset.indices=5')
    assert ended.status == 0, ended.err
    results = json.loads((tmp_path / 'results.json').read_text())
    for number in {result['image_id'] for result in results}:
        best = max((result for result in results if result['image_id'] == number), key=lambda r: r['score'])
        boxes, _, categories = expected_detections(IMAGES / f'{number:012d}.jpg', 320)
        same = torch.from_numpy(boxes[np.array(categories) == best['category_id']])
        x, y, w, h = best['bbox']
        assert box_iou(torch.tensor([[x, y, x + w, y + h]], dtype=same.dtype), same).max() > 0.8


@pytest.mark.parametrize(('config', 'size'), [([], 320), ([CONFIGS[416]], 416)], ids=['no config', '416'])
def test_infer_needs_nothing_but_the_weights(tool, tmp_path, monkeypatch, config, size):
    monkeypatch.chdir(tmp_path)
    image = sorted(IMAGES.iterdir())[1]
    ended = tool('infer.py', *config, weights(size), image, '--device', 'cpu')
    assert ended.status == 0, ended.err
    boxes, scores, categories = expected_detections(image, size)
    assert_same_detections(json.loads((tmp_path / 'outputs' / 'results.json').read_text()), boxes, scores, categories)
    assert (tmp_path / 'outputs' / 'vis' / image.name).is_file()
