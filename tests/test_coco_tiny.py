"""A minute of the memorisation in benchmarks/coco_tiny: real images, real weights, the whole chain."""

import json

import pytest
from conftest import ROOT, SHARED, needs_shared

from mmdet_shufflenetv2.engine.curves import read_scalars
from mmdet_shufflenetv2.engine.training import train

CONFIG = ROOT / 'benchmarks' / 'coco_tiny' / 'faster_rcnn_snv2_coco_tiny.py'


@needs_shared('coco_tiny')
@needs_shared('weights')
def test_the_loss_on_real_images_falls_as_it_should(tmp_path, monkeypatch):
    monkeypatch.setenv('COCO_TINY', str(SHARED / 'coco_tiny'))
    monkeypatch.setenv('SNV2_WEIGHTS', str(SHARED / 'weights' / 'shufflenetv2_x1_0_leakyrelu_nanodet_m.pth'))
    train(CONFIG, work_dir=str(tmp_path), cfg_options={
        'train_cfg.max_epochs': 8, 'train_cfg.val_interval': 100, 'default_hooks.logger.interval': 1,
        'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False,
        'log_processor.window_size': 1})
    losses = list(read_scalars(tmp_path)[0]['loss'].values())
    # 8 epochs of 13 steps. An untrained detector starts at ln 81 for the 81 classes of the second stage plus 0.7 for the
    # RPN's two, about 5.1. LEVEL
    assert losses[0] == pytest.approx(5.1, abs=0.5)
    assert sum(losses[-13:]) / 13 < losses[0] / 2, json.dumps(losses)
