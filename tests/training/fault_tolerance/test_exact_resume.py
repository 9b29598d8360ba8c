"""A run that was stopped and resumed equals an uninterrupted one."""

import signal
from typing import ClassVar

import pytest
from mmdet.registry import HOOKS
from mmengine.hooks import Hook

from mmdet_shufflenetv2.training.train import train
from mmdet_shufflenetv2.utils.errors import StoppedError

from .random_run import assert_same_run

EMA = "dict(type='EMAHook', ema_type='ExpMomentumEMA')"
ACCUMULATE = 'optim_wrapper = dict(accumulative_counts=4)'  # does not divide the six steps of an epoch


@HOOKS.register_module(force=True)
class RecordImages(Hook):
    """Records the images of each step."""

    seen: ClassVar[list[int]] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen += [sample.img_id for sample in data_batch['data_samples']]


@pytest.mark.parametrize(
    ('step', 'workers', 'hooks', 'more'),
    [
        pytest.param(2, 0, [EMA], '', marks=pytest.mark.slow),
        pytest.param(6, 0, [], '', marks=pytest.mark.slow),  # the last of an epoch
        (7, 2, [], ''),  # the first of the next, while workers have loaded ahead
        pytest.param(9, 0, [], ACCUMULATE, marks=pytest.mark.slow),
    ],
)
def test_resuming_after_any_step_is_exact(random_config, tmp_path, step, workers, hooks, more):
    whole = train(random_config(*hooks, more=more), work_dir=str(tmp_path / 'whole'))['checkpoint']
    config = random_config(*hooks, f"dict(type='SignalAfterStep', step={step})", workers=workers, more=more)
    with pytest.raises(StoppedError) as stopped:
        train(config, work_dir=str(tmp_path / 'stopped'))
    assert stopped.value.status == 128 + signal.SIGTERM
    # Other workers than before must not matter either.
    resumed = train(random_config(*hooks, more=more), work_dir=str(tmp_path / 'stopped'), resume='auto')['checkpoint']
    assert_same_run(whole, resumed)
    assert [path.name for path in (tmp_path / 'stopped').glob('*.pth')] == ['epoch_2.pth']


@pytest.mark.slow
def test_no_image_is_seen_twice_in_a_resumed_epoch(random_config, tmp_path):
    config = random_config("dict(type='SignalAfterStep', step=4)", "dict(type='RecordImages')")
    RecordImages.seen = []
    with pytest.raises(StoppedError):
        train(config, work_dir=str(tmp_path / 'run'))
    assert len(RecordImages.seen) == 8
    train(random_config("dict(type='RecordImages')"), work_dir=str(tmp_path / 'run'), resume='auto')
    assert sorted(RecordImages.seen[:12]) == list(range(1, 13))
    assert sorted(RecordImages.seen[12:]) == list(range(1, 13))


@pytest.mark.slow
def test_changed_batch_size_restarts_the_epoch(random_config, tmp_path, capfd):
    with pytest.raises(StoppedError):
        train(random_config("dict(type='SignalAfterStep', step=4)"), work_dir=str(tmp_path / 'run'))
    RecordImages.seen = []
    train(
        random_config("dict(type='RecordImages')"),
        work_dir=str(tmp_path / 'run'),
        resume='auto',
        cfg_options={'train_dataloader.batch_size': 3},
    )
    assert 'epoch 1 starts from the beginning' in capfd.readouterr().out
    assert sorted(RecordImages.seen[:12]) == list(range(1, 13))
