import time

import pytest
import torch
from conftest import ROOT
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config

from mmdet_shufflenetv2.paper.reproduce import estimate

register_all_modules()


@pytest.fixture
def trained(small_config, tmp_path):
    """A config, and a checkpoint of random weights for it."""
    cfg = Config.fromfile(small_config)
    model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'epoch_1.pth')
    return cfg, tmp_path / 'epoch_1.pth'


def test_images_per_second_are_measured_on_batches_of_4(trained, monkeypatch):
    shown = []

    def test_step(model, batch):
        shown.append([tuple(image.shape) for image in batch['inputs']])
        time.sleep(0.02)

    monkeypatch.setattr('mmdet.models.FasterRCNN.test_step', test_step)
    measured = estimate.images_per_second(*trained, 'cpu', rounds=5)
    assert measured == pytest.approx(4 / 0.02, rel=0.2)
    assert len(set(map(len, shown))) == 1
    assert len(shown[0]) == 4


def test_the_detector_gets_images_of_the_papers_size(monkeypatch):
    cfg = Config.fromfile(ROOT / 'configs' / 'faster_rcnn_snv2.py')
    batch = estimate.synthetic_batch(cfg, 'test', estimate.BATCH, estimate.SIZE)
    assert [tuple(image.shape) for image in batch['inputs']] == [(3, 800, 1200)] * 4


def test_a_detector_is_timed(trained, monkeypatch):
    monkeypatch.setattr(estimate, 'SIZE', (96, 96))
    assert estimate.images_per_second(*trained, 'cpu', rounds=1) > 0
