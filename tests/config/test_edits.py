import importlib.util

import pytest
from mmengine.config import Config

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.config.edits import log_for_tensorboard
from mmdet_shufflenetv2.training.train import train


@pytest.mark.parametrize('cfg', [
    {}, dict(visualizer=dict(type='DetLocalVisualizer')),
    dict(visualizer=dict(type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])),
    dict(visualizer=dict(type='DetLocalVisualizer', vis_backends=[dict(type='TensorboardVisBackend')]))])
def test_every_config_gets_the_backend_once(cfg, monkeypatch):
    monkeypatch.setattr('mmdet_shufflenetv2.config.edits.find_spec', lambda name: object())
    cfg = Config(cfg)
    log_for_tensorboard(cfg)
    kinds = [backend['type'] for backend in cfg.visualizer.vis_backends]
    assert kinds.count('TensorboardVisBackend') == 1


def test_without_tensorboard_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr('mmdet_shufflenetv2.config.edits.find_spec', lambda name: None)
    with pytest.raises(UserError, match='pip install tensorboard'):
        log_for_tensorboard(Config())


@pytest.mark.skipif(importlib.util.find_spec('tensorboard') is None, reason='needs tensorboard')
def test_tensorboard_reads_the_loss_of_a_run(small_config, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    train(small_config, work_dir=str(tmp_path), tensorboard=True, cfg_options={'train_cfg.max_epochs': 1})
    [events] = tmp_path.glob('*/vis_data/events.out.tfevents.*')
    scalars = EventAccumulator(str(events)).Reload()
    assert [event.step for event in scalars.Scalars('loss')] == [1, 2, 3]
    assert 'coco/bbox_mAP' in scalars.Tags()['scalars']
