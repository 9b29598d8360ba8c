"""What is asked for, and the steps that lead there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ...config.load import load_config
from ...utils.errors import UserError
from .rows import Row
from .steps import Evaluation, Speed, Step, Training

__all__ = ['Request']


@dataclass(frozen=True)
class Request:
    """A row, and how to come by it.

    Attributes:
        row: The row.
        out: Output folder.
        data_root: Folder of the table's data set; None for the config's own.
        pretrain: Train the backbone of a detector on ImageNet first.
        imagenet_root: Folder of ImageNet for that; None for the config's own.
        weights: In place of a training on ImageNet: what a detector starts from, or what is evaluated.
        config: Config to run in place of the row's own.
        classifier_config: Config of the training on ImageNet in place of the row's own. It also says which input a
            detector's backbone is used to (its ``detector_input``).
        gpus: GPUs of this machine to train on.

    Raises:
        UserError: If what is asked for does not go together.
    """

    row: Row
    out: Path
    data_root: str | None = None
    pretrain: bool = False
    imagenet_root: str | None = None
    weights: str | None = None
    config: str | None = None
    classifier_config: str | None = None
    gpus: int = 1

    def __post_init__(self) -> None:
        if self.pretrain and self.row.table != 'coco':
            raise UserError('pretrain=True is for table coco: the rows of table imagenet are the pre-training, and '
                            'NanoDet-Plus starts from torchvision\'s weights.')
        if self.pretrain and self.weights:
            raise UserError('`pretrain` and `weights` exclude each other: one makes the weights, the other names them.')
        if self.gpus < 1:
            raise UserError(f'gpus={self.gpus}: expected a number from 1 up.')
        for flag, root in (('data_root', self.data_root), ('imagenet_root', self.imagenet_root)):
            if root is not None and not os.path.isdir(root):
                raise UserError(f'{flag}={root} is not a folder.')

    @property
    def settings(self) -> dict[str, Any]:
        """What tells its run from that of another request. Folders of data may move, and GPUs may come and go."""
        return dict(
            row=self.row.name, config=self.config or self.row.config, pretrain=self.pretrain, weights=self.weights,
            classifier_config=self.classifier_config or self.row.classifier_config)

    @cached_property
    def steps(self) -> list[Step]:
        """The steps, in order."""
        return self._detector_steps() if self.row.table == 'coco' else self._steps_of_a_whole()

    def _steps_of_a_whole(self) -> list[Step]:
        config = self.settings['config']
        training = Training('train', config, self.out / 'train', self.data_root, gpus=self.gpus)
        test = Evaluation('test', config, self.out / 'test', self.data_root,
                          checkpoint=self.weights or training.checkpoint)
        return [test] if self.weights else [training, test]

    def _detector_steps(self) -> list[Step]:
        config = self.settings['config']
        pretraining = Training('pretrain', self.settings['classifier_config'], self.out / 'pretrain',
                               self.imagenet_root, gpus=self.gpus)
        start = str(pretraining.checkpoint) if self.pretrain else self.start
        options = {}
        if start:
            options['model.backbone.init_cfg'] = dict(type='Pretrained', checkpoint=start)
            # What the weights have seen in training is what the detector has to show them.
            for key, value in pretraining.cfg.get('detector_input', {}).items():
                options[f'model.data_preprocessor.{key}'] = value
        training = Training('train', config, self.out / 'train', self.data_root, options, self.gpus)
        test = Evaluation('test', config, self.out / 'test', self.data_root, options, training.checkpoint)
        speed = Speed('speed', config, self.out / 'speed', None, options, training.checkpoint)
        return [pretraining, training, test, speed] if self.pretrain else [training, test, speed]

    @cached_property
    def start(self) -> str | None:
        """Weights that lie ready for the backbone; None leaves the matter to the config, or to ``pretrain``."""
        if self.weights or self.config or self.pretrain:
            return self.weights
        return load_config(self.row.config).model.backbone.init_cfg.checkpoint
