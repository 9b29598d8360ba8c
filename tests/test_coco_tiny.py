"""The start of the overfitting test in benchmarks/coco_tiny, on real images with real weights."""

import math

import pytest
from conftest import ROOT, SHARED, needs_shared

from mmdet_shufflenetv2.training.train import train
from mmdet_shufflenetv2.visualization.curves import read_scalars

CONFIG = ROOT / 'benchmarks' / 'coco_tiny' / 'faster_rcnn_snv2_coco_tiny.py'


# Eight images of 240 pixels, 40 epochs of two steps. The loss of the second stage's classes starts at about ln 81 =
# 4.4, that of 81 equal guesses, and its last ten steps average 0.30 (a factor of 15; 16 with another seed). The same
# run with images that are all zero, a chain that sees nothing, ends at 0.55 (a factor of 9): it learns how often
# classes occur and where boxes lie.
FACTOR = 12


@pytest.mark.slow
@needs_shared('coco_tiny')
@needs_shared('weights')
def test_loss_on_real_images_decreases(tmp_path, monkeypatch):
    monkeypatch.setenv('COCO_TINY', str(SHARED / 'coco_tiny'))
    monkeypatch.setenv('SNV2_WEIGHTS', str(SHARED / 'weights' / 'shufflenetv2_x1_0_leakyrelu_nanodet_m.pth'))
    train(
        CONFIG,
        work_dir=str(tmp_path),
        cfg_options={
            'train_cfg.max_epochs': 40,
            'train_cfg.val_interval': 100,
            'param_scheduler.0.end': 10,
            'train_dataloader.dataset.pipeline.2.scale': (240, 240),
            'train_dataloader.dataset.indices': 8,
            'train_dataloader.num_workers': 0,
            'randomness.seed': 1,
            'train_dataloader.persistent_workers': False,
            'default_hooks.logger.interval': 1,
            'default_hooks.checkpoint.interval': 100,
            'log_processor.window_size': 1,
        },
    )
    losses = list(read_scalars(tmp_path)[0]['loss_cls'].values())
    assert losses[0] == pytest.approx(math.log(81), abs=0.3)
    assert sum(losses[-10:]) / 10 < losses[0] / FACTOR, losses
