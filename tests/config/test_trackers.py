import importlib.util
import sys
from types import ModuleType

import pytest
from mmengine.config import Config
from mmengine.registry import VISBACKENDS

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.config.options import TRACKERS, EvaluateOptions, TrainOptions
from mmdet_shufflenetv2.config.resolve import resolve
from mmdet_shufflenetv2.config.trackers import BACKENDS, add_trackers, require_trackers
from mmdet_shufflenetv2.training.train import train

HERE = 'mmdet_shufflenetv2.config.trackers.find_spec'


def kinds(cfg):
    return [backend['type'] for backend in cfg.visualizer.vis_backends]


@pytest.mark.parametrize(
    'cfg',
    [
        {},
        dict(visualizer=dict(type='DetLocalVisualizer')),
        dict(visualizer=dict(type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])),
        dict(visualizer=dict(type='DetLocalVisualizer', vis_backends=[dict(type='mmengine.TensorboardVisBackend')])),
    ],
)
def test_every_config_gets_each_backend_once(cfg, monkeypatch):
    monkeypatch.setattr(HERE, lambda package: object())
    cfg = Config(cfg)
    add_trackers(cfg, ['tensorboard', 'wandb', 'wandb'])
    names = [kind.removeprefix('mmengine.') for kind in kinds(cfg)]
    assert [name for name in names if name != 'LocalVisBackend'] == ['TensorboardVisBackend', 'WandbVisBackend']


def test_each_tracker_is_a_backend_of_mmengine():
    assert tuple(BACKENDS) == TRACKERS
    assert all(VISBACKENDS.get(backend.type) for backend in BACKENDS.values())


def test_mlflow_uses_its_configured_server(monkeypatch):
    mlflow = ModuleType('mlflow')
    mlflow.get_tracking_uri = lambda: 'sqlite:///mlflow.db'
    monkeypatch.setitem(sys.modules, 'mlflow', mlflow)
    monkeypatch.setattr(HERE, lambda package: object())
    cfg = Config(dict(work_dir='work_dirs/fish'))
    add_trackers(cfg, ['mlflow'])
    assert cfg.visualizer.vis_backends[-1] == dict(
        type='MLflowVisBackend', tracking_uri='sqlite:///mlflow.db', exp_name='fish'
    )


def test_unknown_tracker_is_rejected_with_the_known_ones():
    with pytest.raises(UserError, match='tracker=wandbb .*tensorboard.*dvclive'):
        TrainOptions('config.py', tracker=('wandbb',))


@pytest.mark.parametrize(
    'named',
    [
        dict(tracker=('wandb', 'dvclive')),
        dict(cfg_options={'visualizer.vis_backends': [dict(type='WandbVisBackend'), dict(type='DVCLiveVisBackend')]}),
    ],
    ids=['option', 'config'],
)
def test_missing_package_is_reported_before_data_are_read(small_config, tmp_path, monkeypatch, named):
    monkeypatch.setattr(HERE, lambda package: None if package in ('wandb', 'pygit2') else object())
    monkeypatch.setattr('mmdet_shufflenetv2.config.resolve.fit_run', lambda *args: pytest.fail('data are read'))
    with pytest.raises(UserError, match=r'wandb and dvclive .*not installed: pip install wandb pygit2\.'):
        train(small_config, work_dir=str(tmp_path / 'run'), **named)
    assert not (tmp_path / 'run').exists()


def test_evaluation_does_not_log_to_the_trackers_of_the_training(small_config, tmp_path, monkeypatch):
    monkeypatch.setattr(HERE, lambda package: object())
    cfg, _ = resolve(TrainOptions(str(small_config), work_dir=str(tmp_path), tracker=('wandb',)))
    assert 'WandbVisBackend' in kinds(cfg)
    monkeypatch.setattr('mmdet_shufflenetv2.config.resolve.load_checkpoint_config', lambda *args: cfg)
    monkeypatch.setattr('mmdet_shufflenetv2.config.resolve.follow_run', lambda *args, **kwargs: None)
    cfg, _ = resolve(EvaluateOptions(None, 'epoch_1.pth'))
    assert kinds(cfg) == ['LocalVisBackend']
    require_trackers(cfg)


def test_tracker_that_cannot_start_is_reported_in_one_line(small_config, tmp_path, monkeypatch):
    def refuse(**kwargs):
        raise RuntimeError('api_key not configured\n(no-tty)')

    wandb = ModuleType('wandb')
    wandb.init = refuse
    monkeypatch.setitem(sys.modules, 'wandb', wandb)
    monkeypatch.setattr(HERE, lambda package: object())
    with pytest.raises(UserError, match=r'WandbVisBackend.*api_key not configured.*tracker'):
        train(small_config, work_dir=str(tmp_path), tracker=('wandb',))


@pytest.mark.skipif(importlib.util.find_spec('tensorboard') is None, reason='needs tensorboard')
@pytest.mark.slow
def test_tensorboard_reads_the_loss_of_a_run(small_config, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(small_config, work_dir=str(tmp_path), tracker=('tensorboard',), cfg_options={'train_cfg.max_epochs': 1})
    [events] = tmp_path.glob('*/vis_data/events.out.tfevents.*')
    scalars = EventAccumulator(str(events)).Reload()
    assert [event.step for event in scalars.Scalars('loss')] == [1, 2, 3]
    assert 'coco/bbox_mAP' in scalars.Tags()['scalars']
