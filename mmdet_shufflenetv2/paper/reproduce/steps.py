"""The steps from a data set to a figure. The state of a step is stored only in its folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
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
from .folder import PROVENANCE, collect_provenance, read_json, write_json

__all__ = ['Evaluation', 'Speed', 'Step', 'Training']


@dataclass(frozen=True)
class Step(ABC):
    """Base class of the steps.

    Attributes:
        name: Name to print.
        config: Config file.
        folder: Output folder.
        data_root: Folder that replaces the config's data root, or None.
        options: Entries of the config to override.
    """

    name: str
    config: str
    folder: Path
    data_root: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def cfg(self) -> Config:
        """The config that it runs, for reading only."""
        cfg = load_config(self.config, self.options, str(self.folder))
        set_data_root(cfg, self.data_root)
        return cfg

    @property
    def provenance(self) -> dict[str, Any] | None:
        """Data, machine and date of the step, see :func:`.collect_provenance`; None if it has not run."""
        return read_json(self.folder / PROVENANCE)

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether there is nothing left to do."""

    @property
    def state(self) -> str:
        """Progress to print."""
        return 'done' if self.done else 'not run'

    @abstractmethod
    def check(self) -> None:
        """Check the data before anything runs; raises a :class:`UserError`."""

    @abstractmethod
    def run(self) -> None:
        """Run the step, or the rest of it."""


@dataclass(frozen=True)
class Training(Step):
    """Train a config up to its last epoch, on ``gpus`` GPUs of this machine."""

    gpus: int = 1

    @property
    def checkpoint(self) -> Path:
        """The checkpoint of the last epoch or iteration."""
        loop = self.cfg.train_cfg
        return self.folder / (f'iter_{loop.max_iters}.pth' if 'max_iters' in loop else f'epoch_{loop.max_epochs}.pth')

    @property
    def latest(self) -> str | None:
        """Name of the latest complete checkpoint, as recorded by MMEngine."""
        note = self.folder / 'last_checkpoint'
        return Path(note.read_text().strip()).stem if note.is_file() else None

    @property
    def done(self) -> bool:
        """Whether the training has finished and its provenance is recorded."""
        return self.latest == self.checkpoint.stem and self.provenance is not None

    @property
    def state(self) -> str:
        """Progress to print: ``epoch 3 of 12``."""
        if self.done or self.latest is None:
            return super().state
        return f'{self.latest.replace("_", " ")} of {self.checkpoint.stem.split("_")[1]}'

    @property
    def remaining(self) -> float:
        """Share of the training that remains."""
        total, reached = (int(name.split('_')[1]) if name else 0 for name in (self.checkpoint.stem, self.latest))
        return 1 - reached / total

    def check(self) -> None:
        """Check the data before anything runs.

        Raises:
            UserError: If they are invalid, or not those with which the training was started.
        """
        prepare_data(self.cfg, 'train', 'val')
        if self.latest is None:
            return
        if self.provenance is None:
            raise UserError(
                f'{self.folder} contains checkpoints without a {PROVENANCE}. Start in another folder: out=DIR.'
            )
        images = count_images(self.cfg, 'train')
        if images != self.provenance['images']:
            raise UserError(
                f'The training in {self.folder} was started on {self.provenance["images"]:,} images, but '
                f'the data set now has {images:,}. Use the original one (`data_root`, or `imagenet_root` '
                f'for pre-training), or start in another folder: out=DIR.'
            )

    def run(self) -> None:
        """Train, from the latest checkpoint if there is one."""
        before = self.provenance if self.latest else None
        provenance = partial(collect_provenance, before, count_images(self.cfg, 'train'))
        write_json(self.folder / PROVENANCE, provenance())  # now, so that a stopped run cannot resume on other data
        call = partial(
            train,
            self.config,
            work_dir=str(self.folder),
            data_root=self.data_root,
            resume='auto',
            cfg_options=self.options,
        )
        if self.gpus == 1:
            call()
        else:
            launch(partial(call, launcher='pytorch'), self.gpus)
        write_json(self.folder / PROVENANCE, provenance())


def launch(call: Callable[[], Any], processes: int) -> None:
    """Run a call in several processes on this machine, like torchrun."""
    elastic_launch(
        LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            max_restarts=0,
            rdzv_backend='c10d',
            rdzv_endpoint='localhost:0',
            run_id='reproduce',
        ),
        _run,
    )(call)


def _run(call: Callable[[], Any]) -> None:
    call()  # torchrun needs a function with a name, and a partial has none


@dataclass(frozen=True)
class Evaluation(Step):
    """Evaluate weights on the config's test set."""

    checkpoint: str | Path = ''

    @property
    def metrics(self) -> dict[str, float] | None:
        """The metrics; None if it has not run."""
        return read_json(self.folder / 'metrics.json')

    @property
    def done(self) -> bool:
        """Whether the metrics and their provenance are recorded."""
        return self.metrics is not None and self.provenance is not None

    def check(self) -> None:
        """Check the data before anything runs; raises a :class:`UserError`."""
        prepare_data(self.cfg, 'test')

    def run(self) -> None:
        """Evaluate the weights."""
        evaluate(
            self.config,
            str(self.checkpoint),
            work_dir=str(self.folder),
            data_root=self.data_root,
            cfg_options=self.options,
        )
        write_json(self.folder / PROVENANCE, collect_provenance(None, count_images(self.cfg, 'test')))


@dataclass(frozen=True)
class Speed(Step):
    """Time weights on a GPU. Without one, the row is finished without this figure."""

    checkpoint: str | Path = ''

    @property
    def measured(self) -> dict[str, Any] | None:
        """``images_per_second``; None if it has not run."""
        return read_json(self.folder / 'speed.json')

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do."""
        return (self.measured is not None and self.provenance is not None) or not torch.cuda.is_available()

    @property
    def state(self) -> str:
        """Progress to print."""
        return 'needs a GPU' if self.done and self.measured is None else super().state

    def check(self) -> None:
        """Nothing to check: it reads no data."""

    def run(self) -> None:
        """Time the detector."""
        speed = images_per_second(self.cfg, self.checkpoint, 'cuda')
        write_json(self.folder / 'speed.json', dict(images_per_second=speed))
        write_json(self.folder / PROVENANCE, collect_provenance(None))
