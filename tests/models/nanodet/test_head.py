import math

import pytest
import torch
from conftest import ROOT, SHARED, needs_shared
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.structures import InstanceData
from nanodet_reference import raw_outputs
from torch import nn

register_all_modules()


def model_cfg(**head):
    cfg = Config.fromfile(ROOT / 'configs' / 'nanodet_m_snv2.py').model
    cfg.backbone.init_cfg = None
    cfg.bbox_head.update(head)
    return cfg


@pytest.fixture(scope='module')
def detector():
    torch.manual_seed(0)
    detector = MODELS.build(model_cfg(num_classes=3))
    detector.init_weights()
    return detector.eval()


def random_outputs(head, sizes=((4, 6), (2, 3), (1, 2)), batch=2):
    """Class and distance logits for an input of 32 x 48 pixels."""
    torch.manual_seed(1)
    return (
        [torch.randn(batch, head.num_classes, h, w) for h, w in sizes],
        [torch.randn(batch, 32, h, w) * 2 for h, w in sizes],
    )


@needs_shared('weights')
@pytest.mark.parametrize('size', [320, 416])
def test_raw_outputs_equal_a_direct_computation_from_the_published_weights(size):
    weights = torch.load(SHARED / 'weights' / f'nanodet_m_{size}.pth', weights_only=True)['state_dict']
    detector = MODELS.build(model_cfg()).eval()
    detector.load_state_dict(weights)
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = detector(x)
        expected = raw_outputs(weights, x)
    for cls_score, bbox_pred, level in zip(*outputs, expected, strict=True):
        assert torch.allclose(torch.cat((cls_score, bbox_pred), dim=1), level, atol=1e-4)


def test_initial_scores_are_one_percent(detector):
    with torch.no_grad():
        cls_scores, bbox_preds = detector(torch.rand(1, 3, 64, 64))
    for scores in cls_scores:
        assert scores.sigmoid().mean().item() == pytest.approx(0.01, abs=1e-3)
    for pred in bbox_preds:  # initial distances are uniform
        assert pred.reshape(4, 8, -1).softmax(1).sub(1 / 8).abs().max() < 0.01


def test_decoding_equals_a_loop_over_cells(detector):
    head = detector.bbox_head
    cls_scores, bbox_preds = random_outputs(head)
    boxes, scores = head.decode(cls_scores, bbox_preds)
    expected_boxes, expected_scores = [], []
    for stride, level, logits in zip((8, 16, 32), bbox_preds, cls_scores):
        for y in range(level.shape[2]):
            for x in range(level.shape[3]):
                sides = level[1, :, y, x].reshape(4, 8).softmax(1)
                left, top, right, bottom = (stride * sum(n * p.item() for n, p in enumerate(side)) for side in sides)
                cx, cy = (x + 0.5) * stride, (y + 0.5) * stride
                expected_boxes.append([cx - left, cy - top, cx + right, cy + bottom])
                expected_scores.append([1 / (1 + math.exp(-v)) for v in logits[1, :, y, x].tolist()])
    assert torch.allclose(boxes[1], torch.tensor(expected_boxes), atol=1e-4)
    assert torch.allclose(scores[1], torch.tensor(expected_scores), atol=1e-5)


@pytest.mark.parametrize(
    ('flip', 'padding'),
    [
        (None, (0, 0, 0, 0)),
        (None, (3, 5, 4, 6)),
        ('horizontal', (3, 5, 4, 6)),
        ('vertical', (3, 5, 4, 6)),
        ('diagonal', (3, 5, 4, 6)),
    ],
)
def test_boxes_are_mapped_to_the_original_image(detector, flip, padding):
    head = detector.bbox_head
    outputs = random_outputs(head, batch=1)
    # 48 x 32 pixels without the padding, at twice the width and four times the height.
    width, height = (48 - padding[0] - padding[2]) * 2, (32 - padding[1] - padding[3]) * 4
    meta = dict(
        img_shape=(32, 48),
        ori_shape=(height, width),
        scale_factor=(0.5, 0.25),
        padding=padding,
        flip=flip is not None,
        flip_direction=flip,
    )
    cfg = Config(dict(score_thr=0.6, nms=dict(type='nms', iou_threshold=0.6), max_per_img=100))
    padded, original = (
        head.predict_by_feat(*outputs, batch_img_metas=[meta], cfg=cfg, rescale=rescale)[0] for rescale in (False, True)
    )
    assert len(padded) > 5
    # Padding on the left and at the top of the image.
    left = padding[2] if flip in ('horizontal', 'diagonal') else padding[0]
    top = padding[3] if flip in ('vertical', 'diagonal') else padding[1]
    moved = (padded.bboxes - torch.tensor([left, top] * 2)) / torch.tensor([0.5, 0.25] * 2)
    inside = moved.clamp(min=0).minimum(torch.tensor([width, height] * 2))
    assert (inside != moved).any() == any(padding)  # some boxes overlap the padding
    assert torch.allclose(original.bboxes, inside, atol=1e-4)
    assert torch.equal(original.scores, padded.scores)
    assert padded.bboxes.min() >= 0
    assert (padded.bboxes.max(0).values <= torch.tensor([48, 32, 48, 32])).all()


def test_detections_equal_brute_force_per_class_nms(detector):
    head = detector.bbox_head
    outputs = random_outputs(head, batch=1)
    cfg = Config(dict(score_thr=0.5, nms=dict(type='nms', iou_threshold=0.4), max_per_img=20))
    detections = head.predict_by_feat(*outputs, batch_img_metas=[dict(img_shape=(32, 48))], cfg=cfg)[0]
    boxes, scores = (output[0] for output in head.decode(*outputs))
    bound = torch.tensor([48.0, 32.0, 48.0, 32.0])
    candidates = sorted(
        (
            (s.item(), label, box.clamp(min=0).minimum(bound))
            for box, cell in zip(boxes, scores)
            for label, s in enumerate(cell)
            if s > 0.5
        ),
        key=lambda c: -c[0],
    )
    kept = []
    for score, label, box in candidates:
        if all(label != other or iou(box, better) <= 0.4 for _, other, better in kept):
            kept.append((score, label, box))
    assert detections.scores.tolist() == pytest.approx([score for score, _, _ in kept[:20]])
    assert detections.labels.tolist() == [label for _, label, _ in kept[:20]]
    assert torch.allclose(detections.bboxes, torch.stack([box for _, _, box in kept[:20]]), atol=1e-4)


def iou(a, b):
    width, height = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def test_without_detections_the_result_is_empty(detector):
    head = detector.bbox_head
    cfg = Config(dict(score_thr=1.0, nms=dict(type='nms', iou_threshold=0.6), max_per_img=100))
    detections = head.predict_by_feat(
        *random_outputs(head, batch=1),
        batch_img_metas=[dict(img_shape=(32, 48), ori_shape=(32, 48), scale_factor=(1.0, 1.0))],
        cfg=cfg,
        rescale=True,
    )[0]
    assert detections.bboxes.shape == (0, 4)


class ImageToBoxes(nn.Module):
    def __init__(self, detector):
        super().__init__()
        self.detector = detector

    def forward(self, x):
        return self.detector.bbox_head.decode(*self.detector(x))


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
def test_the_traced_graph_accepts_all_sizes(detector):
    model = ImageToBoxes(detector)
    traced = torch.jit.trace(model, torch.rand(1, 3, 64, 96), check_trace=False)
    for shape in ((1, 3, 64, 96), (2, 3, 96, 32), (1, 3, 128, 160)):
        x = torch.rand(shape)
        for ours, expected in zip(traced(x), model(x)):
            assert torch.allclose(ours, expected, atol=1e-4)


def test_norm_eval_keeps_all_running_statistics(detector):
    def statistics(module):
        return {key: value.clone() for key, value in module.state_dict().items() if 'running' in key}

    for norm_eval in (True, False):
        head = MODELS.build(model_cfg(norm_eval=norm_eval).bbox_head)
        before = statistics(head)
        assert len(before) == 24  # mean and variance of two norms of two convolutions on three levels
        head.train()
        head([torch.randn(2, 96, size, size) for size in (4, 2, 2)])
        same = [torch.equal(value, before[key]) for key, value in statistics(head).items()]
        assert all(same) if norm_eval else not any(same)


def test_training_on_one_box_detects_that_box():
    """One image, one box: after some steps the best detection is that box."""
    torch.manual_seed(0)
    detector = MODELS.build(model_cfg(num_classes=3))
    detector.init_weights()
    sample = DetDataSample(
        metainfo=dict(
            img_shape=(64, 64),
            ori_shape=(64, 64),
            pad_shape=(64, 64),
            scale_factor=(1.0, 1.0),
            batch_input_shape=(64, 64),
        )
    )
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[8.0, 16.0, 40.0, 50.0]]), labels=torch.tensor([2]))
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4))
    torch.manual_seed(0)
    x = torch.randn(1, 3, 64, 64)
    optimizer = torch.optim.AdamW(detector.parameters(), lr=3e-3)
    detector.train()
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # there is only one image
    for _ in range(40):
        loss, _ = detector.parse_losses(detector.loss(x, [sample]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    best = detector.eval().predict(x, [sample])[0].pred_instances[0]
    assert best.labels.item() == 2
    assert iou(best.bboxes[0], sample.gt_instances.bboxes[0]) > 0.7
