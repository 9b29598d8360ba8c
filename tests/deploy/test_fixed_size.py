"""Pre- and post-processing of networks with a fixed input size, compared with torchvision and MMDetection."""

import numpy as np
import pytest
import torch
from mmcv.ops import batched_nms
from mmdet.models.data_preprocessors import DetDataPreprocessor

from mmdet_shufflenetv2.deploy.fixed_size import NetworkInput, Selection

MEAN, STD = (103.5, 116.25, 123.5), (57.5, 57.0, 58.25)


@pytest.mark.parametrize('rgb', [False, True])
def test_input_in_the_corner_matches_the_data_preprocessor(rgb):
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    x, offset, size = NetworkInput((64, 64), MEAN, STD, rgb, (0.0, 0.0, 0.0), center=False)(image)
    preprocessor = DetDataPreprocessor(MEAN, STD, bgr_to_rgb=rgb, pad_size_divisor=64)
    expected = preprocessor(dict(inputs=[torch.from_numpy(image).permute(2, 0, 1)], data_samples=None))['inputs'][0]
    np.testing.assert_allclose(x, expected.numpy(), atol=1e-5)
    assert (offset.tolist(), size.tolist()) == ([0] * 4, [60, 40])


def test_centered_input_is_padded_on_all_sides():
    image = np.full((40, 61, 3), 200, np.uint8)
    x, offset, size = NetworkInput((64, 64), MEAN, STD, False, (1.0, 2.0, 3.0), center=True)(image)
    inside = np.zeros((64, 64), bool)
    inside[12:52, 1:62] = True
    for channel, border, mean, std in zip(x, (1, 2, 3), MEAN, STD):
        assert (channel[~inside] == border).all()
        np.testing.assert_allclose(channel[inside], (200 - mean) / std, rtol=1e-6)
    assert (offset.tolist(), size.tolist()) == ([1, 12, 1, 12], [64, 64])


def made(priors=300, classes=5):
    rng = np.random.default_rng(0)
    corner, side = rng.uniform(0, 80, (priors, 2)), rng.uniform(8, 60, (priors, 2))
    boxes = np.concatenate((corner, corner + side), axis=1).astype(np.float32)
    boxes[::9, 2] = boxes[::9, 0]  # without area
    boxes[9:27:9] = boxes[0]
    scores = rng.permutation(np.linspace(0, 1, priors * classes)).astype(np.float32).reshape(priors, classes)
    return boxes, scores


@pytest.mark.parametrize('threshold', [0.3, 0.6])
@pytest.mark.parametrize('most', [-1, 20])
def test_nms_matches_mmcv(threshold, most):
    boxes, scores = made()
    selection = Selection((300,), -1, 0.2, threshold, most, -1, clip=False)
    got = selection(boxes, scores, None, np.array([100, 100]))
    prior, labels = (scores > 0.2).nonzero()
    dets, kept = batched_nms(
        torch.from_numpy(boxes[prior]),
        torch.from_numpy(scores[prior, labels]),
        torch.from_numpy(labels),
        dict(type='nms', iou_threshold=threshold),
    )
    kept = kept[: most if most > 0 else None]
    np.testing.assert_allclose(got[0], dets[: len(kept), :4].numpy())
    np.testing.assert_allclose(got[1], dets[: len(kept), 4].numpy())
    assert got[2].tolist() == labels[kept.numpy()].tolist()


def test_candidates_are_the_best_of_each_level_and_clipped():
    boxes, scores = made()
    factors = np.linspace(0.5, 1, 300, dtype=np.float32)
    got = Selection((200, 100), 7, 0.1, 0.5, 100, -1, clip=True).candidates(boxes, scores, factors, np.array([50, 40]))
    wanted = []
    for start, stop in ((0, 200), (200, 300)):
        best = sorted((-scores[prior, label], prior, label) for prior in range(start, stop) for label in range(5))[:7]
        wanted += [
            (boxes[prior].clip(0, [50, 40, 50, 40]), -score * factors[prior], label) for score, prior, label in best
        ]
    for column, expected in zip(got, zip(*wanted)):
        np.testing.assert_allclose(column, expected, rtol=1e-6)


def test_one_class_keeps_the_best_class():
    boxes, scores = made()
    _, got, labels = Selection((300,), -1, 0.9, 0.5, 100, -1, clip=False, one_class=True).candidates(
        boxes, scores, None, np.array([100, 100])
    )
    best = torch.from_numpy(scores).max(dim=1)
    kept = best.values > 0.9
    assert got.tolist() == best.values[kept].tolist()
    assert labels.tolist() == best.indices[kept].tolist()


def test_no_score_above_the_threshold_gives_no_detections():
    boxes, scores = made()
    found = Selection((300,), -1, 2.0, 0.5, 100, -1, clip=True)(boxes, scores, None, np.array([100, 100]))
    assert [len(column) for column in found] == [0, 0, 0]


def test_boxes_of_two_classes_do_not_suppress_each_other():
    """OpenCV shifts boxes by class, by multiples of the largest coordinate."""
    boxes = np.array([[90, 0, 100, 10], [-11, -101, -1, -91]], np.float32)
    selection = Selection((2,), -1, 0.2, 0.5, -1, -1, clip=False)
    got = selection.suppressed(boxes, np.array([0.9, 0.8], np.float32), np.array([0, 1]))
    assert got[2].tolist() == [0, 1]
