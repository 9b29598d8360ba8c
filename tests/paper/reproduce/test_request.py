from pathlib import Path

import pytest
from conftest import ROOT

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.paper.reproduce.request import Request
from mmdet_shufflenetv2.paper.reproduce.rows import Row

IMAGENET, COCO, NANODET = Row('imagenet', 0.5), Row('coco', 0.5), Row('nanodet-plus', 1.5, size=416)


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)


def names(request):
    return [step.name for step in request.steps]


def test_a_classifier_is_trained_and_tested(tmp_path):
    request = Request(IMAGENET, tmp_path, gpus=4)
    assert names(request) == ['train', 'test']
    training, test = request.steps
    assert training.config == 'configs/imagenet/shufflenet_v2_0.5x.py'
    assert training.gpus == 4
    assert training.checkpoint == test.checkpoint == tmp_path / 'train' / 'epoch_240.pth'


def test_a_nanodet_plus_is_trained_from_the_weights_of_its_config_and_tested(tmp_path):
    request = Request(NANODET, tmp_path)
    assert names(request) == ['train', 'test']
    training, test = request.steps
    assert training.config == test.config == 'configs/nanodet_plus_m_snv2_1.5x_416.py'
    assert training.options == {}
    assert training.checkpoint == test.checkpoint == tmp_path / 'train' / 'epoch_300.pth'


@pytest.mark.parametrize('row', [IMAGENET, NANODET])
def test_given_weights_are_only_tested(tmp_path, row):
    request = Request(row, tmp_path, weights='theirs.pth')
    assert names(request) == ['test']
    assert request.steps[0].checkpoint == 'theirs.pth'


def detector(tmp_path, **kwargs):
    config = 'configs/faster_rcnn_snv2_0.5x.py'
    return Request(COCO, tmp_path, config=config, **kwargs)


def test_a_detector_starts_from_its_pre_training_with_the_same_normalization(tmp_path):
    request = detector(tmp_path, pretrain=True, imagenet_root=str(tmp_path))
    assert names(request) == ['pretrain', 'train', 'test', 'speed']
    pretraining, *others = request.steps
    assert pretraining.data_root == str(tmp_path)
    for step in others:  # also for the test
        assert step.cfg.model.backbone.init_cfg.checkpoint == str(tmp_path / 'pretrain' / 'epoch_240.pth')
        assert step.cfg.model.data_preprocessor.mean == [0, 0, 0]
        assert step.cfg.model.data_preprocessor.std == [1, 1, 1]
        assert not step.cfg.model.data_preprocessor.bgr_to_rgb


def test_the_classifiers_config_gives_the_normalization_of_given_weights(tmp_path):
    request = detector(
        tmp_path, weights='theirs.pth', classifier_config='configs/imagenet/shufflenet_v2_torchvision_0.5x.py'
    )
    cfg = request.steps[0].cfg
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint='theirs.pth')
    assert cfg.model.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert cfg.model.data_preprocessor.bgr_to_rgb


def test_a_custom_config_keeps_its_own_weights(tmp_path):
    assert detector(tmp_path).steps[0].options == {}


@pytest.mark.parametrize(
    ('row', 'arguments', 'words'),
    [
        (IMAGENET, dict(pretrain=True), 'pretrain=True is for table coco'),
        (NANODET, dict(pretrain=True), 'pretrain=True .*coco.* NanoDet-Plus starts from torchvision'),
        (COCO, dict(pretrain=True, weights='a.pth'), '`pretrain` and `weights` exclude each other'),
        (COCO, dict(data_root='/nowhere'), 'data_root=/nowhere is not a folder'),
        (COCO, dict(imagenet_root='/nowhere'), 'imagenet_root=/nowhere is not a folder'),
        (COCO, dict(gpus=0), 'gpus=0: expected'),
    ],
)
def test_contradicting_settings_are_rejected(row, arguments, words):
    with pytest.raises(UserError, match=words):
        Request(row, Path('out'), **arguments)
