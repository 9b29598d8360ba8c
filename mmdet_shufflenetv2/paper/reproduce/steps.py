"""The steps from a data set to a figure. Each knows from its folder alone how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from ...config.edits import set_data_root
from ...config.load import load_config
from ...data.checks import prepare_data
from ...evaluation.evaluate import evaluate
from ...training.train import train
from ...utils.errors import UserError
from .estimate import count_images, images_per_second
from .folder import ACCOUNT, account_of, read_json, write_json

__all__ = ['Evaluation', 'Speed', 'Step', 'Training']


@dataclass(frozen=True)
class Step:
    """What all steps have in common.

    Attributes:
        name: What people call it.
        config: Config file.
        folder: Where it writes.
        data_root: Folder that takes the place of the config's data root, or None.
        options: Entries of the config to override.
    """

    name: str
    config: str
    folder: Path
    data_root: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def cfg(self) -> Config:
        """The config that it runs, to look at."""
        cfg = load_config(self.config, self.options, str(self.folder))
        set_data_root(cfg, self.data_root)
        return cfg

    @property
    def account(self) -> dict[str, Any] | None:
        """On what it ran, see :func:`.account_of`; None before."""
        return read_json(self.folder / ACCOUNT)

    @property
    def state(self) -> str:
        """How far it is, for people."""
        return 'done' if self.done else 'not run'


@dataclass(frozen=True)
class Training(Step):
    """Train a config to its last epoch, on ``gpus`` GPUs of this machine."""

    gpus: int = 1

    @property
    def checkpoint(self) -> Path:
        """The file that it is for."""
        loop = self.cfg.train_cfg
        return self.folder / (f'iter_{loop.max_iters}.pth' if 'max_iters' in loop else f'epoch_{loop.max_epochs}.pth')

    @property
    def newest(self) -> str | None:
        """Name of the newest checkpoint that was written to its end; MMEngine notes it then."""
        note = self.folder / 'last_checkpoint'
        return Path(note.read_text().strip()).stem if note.is_file() else None

    @property
    def done(self) -> bool:
        """Whether the training has ended, and it is known on what."""
        return self.newest == self.checkpoint.stem and self.account is not None

    @property
    def state(self) -> str:
        """How far it is, for people: ``epoch 3 of 12``."""
        if self.done or self.newest is None:
            return super().state
        return f'{self.newest.replace("_", " ")} of {self.checkpoint.stem.split("_")[1]}'

    @property
    def left(self) -> float:
        """Share of the training that is still to come."""
        whole, reached = (int(name.split('_')[1]) if name else 0 for name in (self.checkpoint.stem, self.newest))
        return 1 - reached / whole

    def check(self) -> None:
        """Look at the data, before anything runs.

        Raises:
            UserError: If they do not do, or are not those that it has begun with.
        """
        prepare_data(self.cfg, 'train', 'val')
        if self.newest is None:
            return
        if self.account is None:
            raise UserError(f'{self.folder} holds checkpoints, and no {ACCOUNT} says how they came about. Start anew '
                            f'in another folder: out=DIR.')
        images = count_images(self.cfg, 'train')
        if images != self.account['images']:
            raise UserError(f'{self.folder} has begun to train on {self.account["images"]:,} images, and its data set '
                            f'has {images:,} now. Name the one that it began with (`data_root`; `imagenet_root` for '
                            f'the pre-training), or start anew in another folder: out=DIR.')

    def run(self) -> None:
        """Train, from the newest checkpoint where there is one."""
        before = self.account if self.newest else None
        account = partial(account_of, before, count_images(self.cfg, 'train'))
        write_json(self.folder / ACCOUNT, account())  # at once: a run that is stopped must not go on with other data
        call = partial(train, self.config, work_dir=str(self.folder), data_root=self.data_root, resume='auto',
                       cfg_options=self.options)
        if self.gpus == 1:
            call()
        else:
            launch(partial(call, launcher='pytorch'), self.gpus)
        write_json(self.folder / ACCOUNT, account())


def launch(call: Callable[[], Any], processes: int) -> None:
    """Run a call in several processes of this machine, as torchrun runs a script."""
    elastic_launch(LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=processes, max_restarts=0, rdzv_backend='c10d',
        rdzv_endpoint='localhost:0', run_id='reproduce'), _run)(call)


def _run(call: Callable[[], Any]) -> None:
    call()  # torchrun wants a function with a name, and a partial has none


@dataclass(frozen=True)
class Evaluation(Step):
    """Evaluate weights on the config's test set."""

    checkpoint: str | Path = ''

    @property
    def metrics(self) -> dict[str, float] | None:
        """What was measured, None before."""
        return read_json(self.folder / 'metrics.json')

    @property
    def done(self) -> bool:
        """Whether there are metrics, and it is known of what."""
        return self.metrics is not None and self.account is not None

    def check(self) -> None:
        """Look at the data, before anything runs; raises a :class:`UserError`."""
        prepare_data(self.cfg, 'test')

    def run(self) -> None:
        """Evaluate."""
        evaluate(self.config, str(self.checkpoint), work_dir=str(self.folder), data_root=self.data_root,
                 cfg_options=self.options)
        write_json(self.folder / ACCOUNT, account_of(None, count_images(self.cfg, 'test')))


@dataclass(frozen=True)
class Speed(Step):
    """Time weights on a GPU. Where there is none, the figure stays open and the row is finished without it."""

    checkpoint: str | Path = ''

    @property
    def measured(self) -> dict[str, Any] | None:
        """``images_per_second``, None before."""
        return read_json(self.folder / 'speed.json')

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do."""
        return (self.measured is not None and self.account is not None) or not torch.cuda.is_available()

    @property
    def state(self) -> str:
        """How far it is, for people."""
        return 'needs a GPU' if self.done and self.measured is None else super().state

    def check(self) -> None:
        """It reads no data."""

    def run(self) -> None:
        """Measure."""
        speed = images_per_second(self.cfg, self.checkpoint, 'cuda')
        write_json(self.folder / 'speed.json', dict(images_per_second=speed))
        write_json(self.folder / ACCOUNT, account_of(None))
