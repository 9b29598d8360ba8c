"""NanoDet-Plus against its published weights, and its losses and assignment against an independent implementation."""

import math

import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT, SHARED, needs_shared
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.structures import InstanceData
from nanodet_plus_reference import STRIDES, raw_outputs

from mmdet_shufflenetv2.models.build import build_model

CLASSES = 3
SIZES = ((8, 12), (4, 6), (2, 3), (1, 2))  # for an input of 96 x 64 pixels
PUBLISHED = {
    'm_320': 'nanodet_plus_m_snv2',
    'm_416': 'nanodet_plus_m_snv2_416',
    'm_1.5x_416': 'nanodet_plus_m_snv2_1.5x_416',
}


@pytest.fixture(scope='module')
def head():
    register_all_modules()
    cfg = Config.fromfile(ROOT / 'configs' / 'nanodet_plus_m_snv2.py').model
    return MODELS.build(
        dict(cfg.bbox_head, num_classes=CLASSES, in_channels=8, feat_channels=8, train_cfg=cfg.train_cfg)
    )


@pytest.fixture
def outputs():
    """Class and distance logits of two images of 96 x 64 pixels."""
    rng = torch.Generator().manual_seed(1)
    return (
        [torch.randn(2, CLASSES, h, w, generator=rng).requires_grad_() for h, w in SIZES],
        [torch.randn(2, 32, h, w, generator=rng).requires_grad_() for h, w in SIZES],
    )


def truth(boxes, labels):
    return InstanceData(bboxes=torch.tensor(boxes).reshape(-1, 4), labels=torch.tensor(labels, dtype=torch.long))


TRUTH = [
    truth([[6.0, 4.0, 60.0, 54.0], [10.0, 8.0, 40.0, 60.0], [18.0, 18.0, 30.0, 30.0]], [0, 2, 1]),
    truth([[0.0, 0.0, 96.0, 64.0], [20.0, 12.0, 94.0, 62.0]], [1, 1]),
]


@needs_shared('weights')
@pytest.mark.parametrize(('name', 'config'), PUBLISHED.items())
def test_raw_outputs_equal_a_direct_computation_from_the_published_weights(name, config):
    path = SHARED / 'weights' / f'nanodet_plus_{name}.pth'
    size = int(name[-3:])
    weights = {
        key: value.float() if value.is_floating_point() else value
        for key, value in torch.load(path, weights_only=True)['state_dict'].items()
    }
    detector = build_model(Config.fromfile(ROOT / 'configs' / f'{config}.py').model, path)
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, expected = detector(x), raw_outputs(weights, x)
    for cls_score, bbox_pred, level in zip(*found, expected, strict=True):
        assert (torch.cat((cls_score, bbox_pred), dim=1) - level).abs().max() < 1e-4 * level.abs().max()


def cells():
    """``x, y, stride`` of every cell, by level, in row-major order."""
    return [
        (x * stride, y * stride, stride) for stride, (h, w) in zip(STRIDES, SIZES) for y in range(h) for x in range(w)
    ]


def per_cell(outputs, image):
    return torch.cat([level[image].flatten(1).T for level in outputs])


def decoded(distances):
    """``(cells, 32)`` -> boxes in pixels."""
    boxes = []
    for (x, y, stride), logits in zip(cells(), distances, strict=True):
        left, top, right, bottom = (logits.reshape(4, 8).softmax(1) * torch.arange(8.0)).sum(1) * stride
        boxes.append(torch.stack((x - left, y - top, x + right, y + bottom)))
    return torch.stack(boxes)


def iou_of(a, b):
    inter = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0).prod()
    return inter / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inter)


def assigned_by_hand(logits, boxes, gt):
    """Index of the box that each matched cell learns, and all IoUs, computed with loops over cells and boxes."""
    candidates = [
        i
        for i, (x, y, _) in enumerate(cells())
        if any(x1 < x < x2 and y1 < y < y2 for x1, y1, x2, y2 in gt.bboxes.tolist())
    ]
    cost, overlap = {}, {}
    for i in candidates:
        for g, (box, label) in enumerate(zip(gt.bboxes, gt.labels)):
            overlap[i, g] = float(iou_of(boxes[i], box))
            total = -3 * math.log(overlap[i, g] + 1e-7)
            for c, logit in enumerate(logits[i].tolist()):
                p, t = 1 / (1 + math.exp(-logit)), overlap[i, g] if c == label else 0.0
                total += -(t * math.log(p) + (1 - t) * math.log(1 - p)) * (t - p) ** 2
            cost[i, g] = total
    chosen = {}
    for g in range(len(gt.bboxes)):
        k = max(1, int(sum(sorted((overlap[i, g] for i in candidates), reverse=True)[:13])))
        for i in sorted(candidates, key=lambda i: cost[i, g])[:k]:
            chosen.setdefault(i, []).append(g)
    return {
        i: matched[0] if len(matched) == 1 else min(range(len(gt.bboxes)), key=lambda g: cost[i, g])
        for i, matched in chosen.items()
    }, overlap


def test_the_assignment_equals_brute_force_over_all_costs(head, outputs):
    targets = head.assign(*outputs, TRUTH)
    number = len(cells())
    for image, gt in enumerate(TRUTH):
        logits, distances = (per_cell(part, image).detach() for part in outputs)
        matched, overlap = assigned_by_hand(logits, decoded(distances), gt)
        assert len(matched) > 3
        labels, ious, boxes = (part[image * number : (image + 1) * number] for part in targets)
        assert (labels < CLASSES).nonzero()[:, 0].tolist() == sorted(matched)
        for cell, g in matched.items():
            assert labels[cell] == gt.labels[g]
            assert boxes[cell].tolist() == gt.bboxes[g].tolist()
            assert float(ious[cell]) == pytest.approx(overlap[cell, g], abs=1e-5)


def test_the_losses_equal_their_definitions(head, outputs):
    losses = head.loss_by_feat(*outputs, TRUTH, [{}] * 2)
    targets = head.assign(*outputs, TRUTH)
    logits = torch.cat([per_cell(outputs[0], image) for image in range(2)])
    distances = torch.cat([per_cell(outputs[1], image) for image in range(2)])
    boxes = torch.cat([decoded(per_cell(outputs[1], image)) for image in range(2)])
    quality, giou, dfl, weights = 0.0, 0.0, 0.0, 0.0
    positives = (targets.labels < CLASSES).nonzero()[:, 0].tolist()
    for cell in range(len(logits)):
        expected = torch.zeros(CLASSES)
        if cell in positives:
            expected[targets.labels[cell]] = targets.ious[cell]
        p = logits[cell].sigmoid()
        quality += (F.binary_cross_entropy(p, expected, reduction='none') * (expected - p) ** 2).sum()
    for cell in positives:
        weight = float(logits[cell].sigmoid().max())
        weights += weight
        a, b = boxes[cell], targets.boxes[cell]
        hull = (torch.maximum(a[2:], b[2:]) - torch.minimum(a[:2], b[:2])).prod()
        inter = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0).prod()
        union = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inter
        giou += weight * (1 - inter / union + (hull - union) / hull)
        x, y, stride = (cells() * 2)[cell]
        sides = torch.stack((x - b[0], y - b[1], b[2] - x, b[3] - y)).div(stride).clamp(0, 6.9)
        for side, bins in zip(sides, distances[cell].reshape(4, 8).log_softmax(1), strict=True):
            low = int(side)
            dfl -= weight * ((low + 1 - side) * bins[low] + (side - low) * bins[low + 1])
    total = max(weights, 1.0)
    assert losses['loss_cls'].item() == pytest.approx(float(quality) / len(positives), rel=1e-4)
    assert losses['loss_bbox'].item() == pytest.approx(2 * float(giou) / total, rel=1e-4)
    assert losses['loss_dfl'].item() == pytest.approx(0.25 * float(dfl) / (4 * total), rel=1e-4)


@pytest.mark.parametrize('gt', [truth([], []), truth([[1.0, 1.0, 7.0, 7.0]], [0])], ids=['no box', 'no cell in a box'])
def test_an_image_without_a_match_is_background(head, outputs, gt):
    losses = head.loss_by_feat(*outputs, [gt, gt], [{}] * 2)
    scores = torch.cat([level.flatten() for level in outputs[0]]).sigmoid()
    background = (-(1 - scores).log() * scores**2).sum()
    assert losses['loss_cls'].item() == pytest.approx(float(background), rel=1e-4)
    assert losses['loss_bbox'].item() == losses['loss_dfl'].item() == 0
    sum(losses.values()).backward()
    assert all(level.grad is not None for level in (*outputs[0], *outputs[1]))


def test_a_box_that_no_cell_predicts_well_still_gets_a_cell(head):
    logits = [torch.full((1, CLASSES, h, w), -4.6) for h, w in SIZES]
    distances = [torch.zeros(1, 32, h, w) for h, w in SIZES]  # every cell: 3.5 strides to each side
    targets = head.assign(logits, distances, [truth([[7.0, 7.0, 10.0, 10.0]], [2])])
    assert (targets.labels < CLASSES).nonzero()[:, 0].tolist() == [13]  # the cell at (8, 8)
    assert targets.labels[13] == 2
    assert float(targets.ious[13]) == pytest.approx(9 / 56**2)
