"""A run in which everything is random that can be, and a way to stop it after a given step."""

from __future__ import annotations

import os
import signal

import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook

from mmdet_shufflenetv2.compat.checkpoints import load

RANDOM = """
_base_ = ['{config}']
randomness = dict(seed=7)
_shuffled = dict(pipeline=[
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomChoiceResize', scales=[(64, 64), (96, 96)], keep_ratio=True),
    dict(type='PhotoMetricDistortion'), dict(type='RandomFlip', prob=0.5), dict(type='PackDetInputs')])
train_dataloader = dict(batch_size=2, num_workers={workers}, persistent_workers={workers} > 0, dataset=_shuffled)
train_cfg = dict(max_epochs=2)
val_dataloader = val_cfg = val_evaluator = None
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=1, save_best=None))
custom_hooks = [{hooks}]
"""


@HOOKS.register_module(force=True)
class SignalAfterStep(Hook):
    """Sends this process a signal after a step, once."""

    def __init__(self, step, number=signal.SIGTERM):
        self.step, self.number = step, number

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.step:
            self.step = None
            os.kill(os.getpid(), self.number)


@pytest.fixture
def random_config(small_config, tmp_path):
    """Write the config: two epochs of six steps."""

    def write(*hooks: str, workers: int = 0, more: str = ''):
        path = tmp_path / f'random_{len(list(tmp_path.glob("random_*")))}.py'
        path.write_text(RANDOM.format(config=small_config, workers=workers, hooks=', '.join(hooks)) + more)
        return path

    return write


def assert_same_run(one, other):
    """Two checkpoints hold the same weights, averages, optimizer and losses, bit for bit."""
    one, other = load(one), load(other)
    assert one['meta']['iter'] == other['meta']['iter']
    for part in ('state_dict', 'ema_state_dict'):
        assert one.get(part, {}).keys() == other.get(part, {}).keys()
        for key, tensor in one.get(part, {}).items():
            assert torch.equal(tensor, other[part][key]), key
    for key, state in one['optimizer']['state'].items():
        for name, value in state.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(other['optimizer']['state'][key][name]))
    losses, others = ([float(value) for value in run['message_hub']['log_scalars']['train/loss'].data[0]]
                      for run in (one, other))
    assert losses == others
