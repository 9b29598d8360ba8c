"""Checkpoints on disk at every moment of a run."""

import errno
import os
from pathlib import Path

import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.checkpoints.latest import is_valid_checkpoint
from mmdet_shufflenetv2.training.fault_tolerance import checkpoint_hook as storage
from mmdet_shufflenetv2.training.train import train


@HOOKS.register_module(force=True)
class SpoilWeights(Hook):
    """Makes a weight NaN after a step, so that the loss does not show it."""

    def __init__(self, step):
        self.step = step

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.step:
            with torch.no_grad():
                next(p for p in runner.model.parameters() if p.requires_grad)[0] = float('nan')


@pytest.mark.slow
def test_last_checkpoint_is_valid_at_every_kill(random_config, tmp_path, monkeypatch):
    work_dir, seen = tmp_path / 'run', []

    def look(call):

        def looking(*args, **kwargs):
            if (work_dir / 'last_checkpoint').exists():
                seen.append(is_valid_checkpoint((work_dir / 'last_checkpoint').read_text()))
            return call(*args, **kwargs)

        return looking

    for name in ('fsync', 'replace', 'remove', 'unlink'):
        monkeypatch.setattr(os, name, look(getattr(os, name)))
    monkeypatch.setattr(Path, 'unlink', look(Path.unlink))
    train(
        random_config(more='default_hooks = dict(checkpoint=dict(max_keep_ckpts=1))'),
        work_dir=str(work_dir),
        checkpoint_interval_minutes=1e-4,
    )
    assert len(seen) > 12
    assert all(seen)
    assert [path.name for path in work_dir.glob('*.pth')] == ['epoch_2.pth']


def test_full_disk_keeps_the_previous_checkpoint(random_config, tmp_path, monkeypatch):
    write = storage.write_atomically

    def quota(path, content):
        if Path(path).name == 'epoch_2.pth':
            raise OSError(errno.ENOSPC, 'No space left on device')
        write(path, content)

    monkeypatch.setattr(storage, 'write_atomically', quota)
    with pytest.raises(UserError, match=r'epoch_2\.pth could not be saved: .*full.*epoch_1\.pth.*--resume'):
        train(random_config(), work_dir=str(tmp_path / 'run'))
    assert (tmp_path / 'run' / 'last_checkpoint').read_text().endswith('epoch_1.pth')
    assert is_valid_checkpoint(tmp_path / 'run' / 'epoch_1.pth')


def test_folder_with_the_name_of_a_checkpoint_is_reported(random_config, tmp_path):
    (tmp_path / 'run' / 'epoch_1.pth').mkdir(parents=True)
    with pytest.raises(UserError, match=r'epoch_1\.pth could not be saved: .*Is a directory'):
        train(random_config(), work_dir=str(tmp_path / 'run'))


def test_weights_that_are_not_finite_are_not_saved(random_config, tmp_path):
    with pytest.raises(UserError, match=r'NaN or infinite .*epoch_1\.pth'):
        train(random_config("dict(type='SpoilWeights', step=12)"), work_dir=str(tmp_path / 'run'))
    assert not (tmp_path / 'run' / 'epoch_2.pth').exists()
