"""Writing the config of a random run, and a way to stop it after a given step."""

from __future__ import annotations

import multiprocessing
import os
import signal

import pytest
from mmdet.registry import HOOKS
from mmengine.hooks import Hook

from .random_run import RANDOM


@HOOKS.register_module(force=True)
class SignalAfterStep(Hook):
    """Sends this process and its loader's workers a signal after a step, once, as a cluster does."""

    def __init__(self, step, number=signal.SIGTERM):
        self.step, self.number = step, number

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.step:
            self.step = None
            for process in (*(worker.pid for worker in multiprocessing.active_children()), os.getpid()):
                os.kill(process, self.number)


@pytest.fixture
def random_config(small_config, tmp_path):
    """Write the config: two epochs of six steps."""

    def write(*hooks: str, workers: int = 0, more: str = ''):
        path = tmp_path / f'random_{len(list(tmp_path.glob("random_*")))}.py'
        path.write_text(RANDOM.format(config=small_config, workers=workers, hooks=', '.join(hooks)) + more)
        return path

    return write
