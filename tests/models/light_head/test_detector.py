"""The Light-Head R-CNN detector: sizes and multiply-adds of the paper, and other backbones."""

import pytest
import torch
from conftest import ROOT
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.testing import demo_mm_inputs
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.structures import InstanceData

from mmdet_shufflenetv2.profiling.complexity import detector_complexity

register_all_modules()

# backbone, channels of C4 and C5, stride of C5
BACKBONES = {
    "the authors' ShuffleNet V2": (
        dict(
            type='ShuffleNetV2',
            variant='authors',
            widen_factor=0.5,
            out_indices=(2, 3),
            strides=(2, 2, 1),
            dilations=(1, 1, 2),
        ),
        96,
        192,
        16,
    ),
    'ResNet-18': (
        dict(type='ResNet', depth=18, out_indices=(2, 3), strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)),
        256,
        512,
        16,
    ),
    'MobileNetV2': (dict(type='MobileNetV2', out_indices=(4, 7)), 96, 1280, 32),
}


def light_head(name):
    """The model config that docs/light_head.md shows."""
    backbone, c4, c5, stride = BACKBONES[name]
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'light_head_rcnn.py')
    cfg.merge_from_dict(
        {
            'model.backbone': backbone,
            'model.neck.in_channels': c5,
            'model.rpn_head.in_channels': c4,
            'model.roi_head.bbox_roi_extractor.featmap_strides': [stride],
            'model.test_cfg.rcnn.score_thr': 0.0,
        }
    )  # an untrained model has low scores
    return cfg.model


@pytest.mark.parametrize('name', BACKBONES)
def test_it_trains_and_predicts_with_any_backbone(name):
    torch.manual_seed(0)
    model = MODELS.build(light_head(name))
    batch = demo_mm_inputs(2, [[3, 128, 160]] * 2, num_classes=80, use_box_type=True)
    losses = model.train().forward(**model.data_preprocessor(batch, True), mode='loss')
    total, _ = model.parse_losses(losses)
    assert total.isfinite()
    total.backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not missing
    batch = demo_mm_inputs(1, [[3, 128, 160]], num_classes=80)
    with torch.no_grad():
        detections = model.eval().forward(**model.data_preprocessor(batch, False), mode='predict')[0].pred_instances
    assert len(detections) == 100
    assert detections.bboxes.isfinite().all()


@pytest.fixture(scope='module')
def detector():
    cfg = Config.fromfile(ROOT / 'configs' / 'light_head_rcnn_snv2.py')
    cfg.model.backbone.init_cfg = None
    return MODELS.build(cfg.model)


@pytest.mark.parametrize(
    ('weight', 'shape'),
    [
        ('neck.tall_wide.0', (64, 464, 15, 1)),
        ('neck.tall_wide.1', (490, 64, 1, 15)),
        ('neck.wide_tall.0', (64, 464, 1, 15)),
        ('neck.wide_tall.1', (490, 64, 15, 1)),
        ('rpn_head.rpn_conv', (256, 232, 3, 3)),
        ('rpn_head.rpn_cls', (15, 256, 1, 1)),
        ('rpn_head.rpn_reg', (15 * 4, 256, 1, 1)),
        ('roi_head.bbox_head.shared_fcs.0', (2048, 10 * 7 * 7)),
        ('roi_head.bbox_head.fc_cls', (80 + 1, 2048)),
        ('roi_head.bbox_head.fc_reg', (80 * 4, 2048)),
    ],
)
def test_weights_have_the_sizes_of_the_paper(detector, weight, shape):
    assert tuple(detector.get_submodule(weight).weight.shape) == shape


def test_anchors_have_five_sizes_and_three_ratios(detector):
    (anchors,) = detector.rpn_head.prior_generator.base_anchors
    width, height = (anchors[:, 2:] - anchors[:, :2]).T
    areas = {round(side) for side in (width * height).sqrt().tolist()}
    ratios = {round(ratio, 3) for ratio in (height / width).tolist()}
    assert (len(anchors), areas, ratios) == (15, {32, 64, 128, 256, 512}, {0.5, 1.0, 2.0})


def test_c4_and_c5_have_stride_16(detector):
    thin, c4 = detector.extract_feat(torch.rand(1, 3, 64, 96))
    assert (thin.shape, c4.shape) == ((1, 490, 4, 6), (1, 232, 4, 6))


def test_batch_norm_is_frozen(detector):
    norms = [m for m in detector.train().modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(m.training or m.weight.requires_grad or m.bias.requires_grad for m in norms)


def test_the_second_stage_samples_the_hardest_negatives(detector):
    torch.manual_seed(0)
    head = detector.roi_head
    thin = torch.rand(1, 490, 20, 30) * 5
    corners = torch.rand(600, 2) * torch.tensor([400.0, 240.0])
    boxes = torch.cat((corners, corners + 20 + torch.rand(600, 2) * 60), dim=1)
    truth = InstanceData(bboxes=boxes[:3].clone(), labels=torch.tensor([5, 7, 9]))
    sample = DetDataSample(gt_instances=truth, ignored_instances=InstanceData(bboxes=torch.zeros(0, 4)))
    results = []
    sample_boxes = head.bbox_sampler.sample
    head.bbox_sampler.sample = lambda *args, **kwargs: results.append(sample_boxes(*args, **kwargs)) or results[-1]
    try:
        head.loss((thin,), [InstanceData(bboxes=boxes)], [sample])
    finally:
        del head.bbox_sampler.sample
    (sampled,) = results
    assert len(sampled.pos_inds) + len(sampled.neg_inds) == 256
    rois = torch.cat((torch.zeros(len(boxes), 1), boxes), dim=1)
    with torch.no_grad():
        scores = head.bbox_head(head.bbox_roi_extractor((thin,), rois))[0]
    background = -scores.log_softmax(dim=1)[:, -1]  # the loss of a negative
    negatives = sampled.neg_inds - 3  # the sampler adds the three true boxes first
    positives = sampled.pos_inds[sampled.pos_inds >= 3] - 3
    not_sampled = torch.ones(600, dtype=torch.bool)
    not_sampled[negatives] = not_sampled[positives] = False
    assert background[negatives].min() >= background[not_sampled].max()


def test_multiply_adds_equal_the_closed_form():
    row = detector_complexity(ROOT / 'configs' / 'light_head_rcnn_snv2.py', 256, 384)
    cells = 16 * 24
    thin = cells * 2 * 15 * 64 * (464 + 490)
    rpn = cells * 256 * (232 * 9 + 15 * (1 + 4))
    regions = 1000 * 2048 * (490 + 81 + 320)
    assert row.multiply_adds - row.backbone_multiply_adds == thin + rpn + regions
