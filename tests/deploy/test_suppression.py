"""NMS in graphs, compared with mmcv's; options of mmcv's NMS that are not supported are rejected."""

import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mmcv.ops import batched_nms
from mmengine.config import ConfigDict
from torch import nn
from torchvision.ops import box_iou

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.deploy.heads.selection import check_min_size, check_most, check_nms, large_boxes, suppressed


def crowd(number=200):
    """Overlapping boxes of three classes with distinct scores."""
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(number, 2, generator=generator) * 60
    boxes = torch.cat((corners, corners + 20 + torch.rand(number, 2, generator=generator) * 20), dim=1)
    return boxes, torch.randperm(number, generator=generator) / number, torch.arange(number) % 3


@pytest.mark.parametrize(
    'options', [dict(), dict(class_agnostic=False), dict(split_thr=10), dict(offset=0, score_threshold=0, max_num=-1)]
)
def test_supported_options_match_mmcv(options):
    nms = dict(type='nms', iou_threshold=0.4, **options)
    check_nms(nms, 'model.test_cfg.nms')
    boxes, scores, labels = crowd()
    expected, places = batched_nms(boxes, scores, labels, dict(nms))
    kept = suppressed(boxes, scores, labels, ConfigDict(nms=nms, max_per_img=1000), 3)
    assert 10 < len(places) < 150
    for got, wanted in zip(kept, (expected[:, :4], expected[:, 4], labels[places]), strict=True):
        assert torch.equal(got, wanted)


class Suppression(nn.Module):
    """A graph with NMS of 80 classes."""

    def __init__(self, most):
        super().__init__()
        self.cfg = ConfigDict(nms=dict(iou_threshold=0.4), max_per_img=most)

    def forward(self, boxes, scores, labels):
        return suppressed(boxes, scores, labels, self.cfg, 80)


def written(module, example, path):
    names = ['boxes', 'scores', 'labels']
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(
            module,
            example,
            path,
            dynamo=False,
            opset_version=17,
            input_names=names,
            output_names=[f'kept_{name}' for name in names],
            dynamic_axes={name: {0: 'number'} for name in names},
        )
    return path


@pytest.fixture(scope='module')
def graphs(tmp_path_factory):
    """Files by the maximum number of boxes."""
    folder = tmp_path_factory.mktemp('nms')
    return {most: written(Suppression(most), crowd(), folder / f'{most}.onnx') for most in (-1, 20, 1000)}


def run(path, boxes, scores, labels):
    feed = dict(boxes=boxes.numpy(), scores=scores.numpy(), labels=labels.numpy())
    return onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider']).run(None, feed)


@pytest.mark.parametrize('most', [-1, 20, 1000])
@pytest.mark.parametrize('first', [0, 50, 77])
def test_graph_nms_matches_mmcv_for_all_labels(most, first, graphs):
    boxes, scores, labels = crowd()
    labels += first
    expected, places = batched_nms(boxes, scores, labels, dict(type='nms', iou_threshold=0.4))
    kept = run(graphs[most], boxes, scores, labels)
    number = len(places) if most < 0 else most
    for got, wanted in zip(kept, (expected[:number, :4], expected[:number, 4], labels[places][:number]), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-6)


@pytest.mark.parametrize('number', [0, 1])
def test_graph_nms_accepts_zero_and_one_box(number, graphs):
    kept = run(graphs[20], *(column[:number] for column in crowd()))
    assert [len(column) for column in kept] == [number] * 3


def test_openvino_nms_matches(graphs):
    openvino = pytest.importorskip('openvino', reason='needs openvino: pip install openvino')
    boxes, scores, labels = crowd()
    compiled = openvino.Core().compile_model(graphs[20], 'CPU', dict(INFERENCE_PRECISION_HINT='f32'))
    for number in (200, 0):
        feed = [column[:number].numpy() for column in (boxes, scores, labels)]
        got = compiled(feed)
        for place, wanted in enumerate(run(graphs[20], *(column[:number] for column in (boxes, scores, labels)))):
            np.testing.assert_allclose(got[place], wanted, atol=1e-6)


@pytest.mark.parametrize('first', [0, 50, 77])
def test_half_precision_nms_only_removes_duplicates(first, graphs, tmp_path):
    float16 = pytest.importorskip('onnxruntime.transformers.float16')
    half = float16.convert_float_to_float16(onnx.load(graphs[1000]), keep_io_types=True)
    onnx.save(half, tmp_path / 'half.onnx')
    generator = torch.Generator().manual_seed(0)
    corner = torch.arange(40)[:, None] * torch.tensor([28, 16])  # to 1152 x 684, 40 apart
    boxes = torch.cat((corner, corner + 160), dim=1).float().repeat_interleave(3, dim=0)  # the same box thrice
    scores = torch.randperm(120, generator=generator) / 240 + 0.25
    labels = torch.tensor([0, 0, 1]).repeat(40) + first
    kept_boxes, _, kept_labels = run(tmp_path / 'half.onnx', boxes, scores, labels)
    assert len(kept_boxes) == len(run(graphs[1000], boxes, scores, labels)[0])
    for label in (0, 1):
        same = torch.from_numpy(kept_boxes[kept_labels == label + first])
        assert len(same) > 5
        assert (box_iou(same, same).triu(1) <= 0.41).all()


@pytest.mark.parametrize('most', [None, 0, -1])
@pytest.mark.parametrize('key', ['nms_pre', 'max_per_img'])
def test_rejects_maxima_below_one(key, most):
    cfg = ConfigDict({} if most is None else {key: most})
    check_most(ConfigDict({key: 1}), key, 'model.test_cfg')
    with pytest.raises(UserError, match=rf'model\.test_cfg\.{key}={most}: .*`cfg_options`'):
        check_most(cfg, key, 'model.test_cfg')


@pytest.mark.parametrize(
    'options',
    [
        dict(type='soft_nms'),
        dict(class_agnostic=True),
        dict(offset=1),
        dict(score_threshold=0.5),
        dict(max_num=5),
        dict(split_thr=10, max_num=5),
    ],
)
def test_rejects_unsupported_nms_options(options):
    nms = dict(type='nms', iou_threshold=0.4) | options
    boxes, scores, labels = crowd()
    plain, _ = batched_nms(boxes, scores, labels, dict(type='nms', iou_threshold=0.4))
    other, _ = batched_nms(boxes, scores, labels, dict(nms))
    assert plain.shape != other.shape or not torch.equal(plain, other)
    with pytest.raises(UserError, match=r'model\.test_cfg\.rpn\.nms has .*only per-class NMS') as error:
        check_nms(nms, 'model.test_cfg.rpn.nms')
    assert all(f'{key}={value!r}' in str(error.value) for key, value in options.items() if key != 'split_thr')


@pytest.mark.parametrize(
    ('nms', 'word'),
    [
        (None, 'no iou_threshold'),
        (dict(type='nms'), 'no iou_threshold'),
        (dict(type='nms', iou_thr=0.5), 'iou_thr=0.5'),
        (dict(type='nms', iou_threshold=0.5, sigma=0.5), 'sigma=0.5'),
    ],
)
def test_unknown_or_missing_options_are_reported(nms, word):
    with pytest.raises(UserError, match=word):
        check_nms(nms, 'model.test_cfg.nms')


@pytest.mark.parametrize('least', [-1, 0, 3, None])
def test_both_sides_must_exceed_the_minimum_size(least):
    sides = [(0, 0), (0, 5), (5, 0), (3, 5), (4, 4), (1, 1)]
    boxes = torch.tensor([[10, 20, 10 + width, 20 + height] for width, height in sides], dtype=torch.float32)
    scores, labels = torch.arange(6) / 6, torch.arange(6)
    cfg = ConfigDict() if least is None else ConfigDict(min_bbox_size=least)
    kept = large_boxes(boxes, scores, labels, cfg)
    expected = [i for i, sides in enumerate(sides) if least in (None, -1) or min(sides) > least]
    assert kept[2].tolist() == expected
    assert torch.equal(kept[0], boxes[expected])
    assert torch.equal(kept[1], scores[expected])


def test_rejects_minimum_size_in_original_pixels():
    for served in (ConfigDict(), ConfigDict(min_bbox_size=0), ConfigDict(min_bbox_size=-1)):
        check_min_size(served, 'model.test_cfg')
    with pytest.raises(UserError, match=r'min_bbox_size=8: .*`cfg_options` model\.test_cfg\.min_bbox_size=0'):
        check_min_size(ConfigDict(min_bbox_size=8), 'model.test_cfg')
