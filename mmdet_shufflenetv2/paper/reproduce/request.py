"""The requested row with its settings, and the steps to run."""

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
    """A row to reproduce, and its settings.

    Attributes:
        row: The row.
        out: Output folder.
        data_root: Folder of the table's data set; None for the config's own.
        pretrain: Whether to train the backbone of a detector on ImageNet first.
        imagenet_root: Folder of ImageNet for that; None for the config's own.
        weights: Weights to use instead of training on ImageNet: a detector starts from them, a classifier is evaluated.
        config: Config to run instead of the row's own.
        classifier_config: Config of the training on ImageNet instead of the row's own. Its ``detector_input`` gives the
            input normalization of the detector.
        gpus: Number of GPUs of this machine to train on.

    Raises:
        UserError: If settings are invalid or contradict each other.
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
            raise UserError(
                'pretrain=True is for table coco: the rows of table imagenet are the pre-training, and '
                "NanoDet-Plus starts from torchvision's weights."
            )
        if self.pretrain and self.weights:
            raise UserError('`pretrain` and `weights` exclude each other: use one of them.')
        if self.gpus < 1:
            raise UserError(f'gpus={self.gpus}: expected at least 1.')
        for flag, root in (('data_root', self.data_root), ('imagenet_root', self.imagenet_root)):
            if root is not None and not os.path.isdir(root):
                raise UserError(f'{flag}={root} is not a folder.')

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that identify the run. The data folders and the number of GPUs may change."""
        return dict(
            row=self.row.name,
            config=self.config or self.row.config,
            pretrain=self.pretrain,
            weights=self.weights,
            classifier_config=self.classifier_config or self.row.classifier_config,
        )

    @cached_property
    def steps(self) -> list[Step]:
        """The steps, in order."""
        return self._detector_steps() if self.row.table == 'coco' else self._training_steps()

    def _training_steps(self) -> list[Step]:
        config = self.settings['config']
        training = Training('train', config, self.out / 'train', self.data_root, gpus=self.gpus)
        test = Evaluation(
            'test', config, self.out / 'test', self.data_root, checkpoint=self.weights or training.checkpoint
        )
        return [test] if self.weights else [training, test]

    def _detector_steps(self) -> list[Step]:
        config = self.settings['config']
        pretraining = Training(
            'pretrain', self.settings['classifier_config'], self.out / 'pretrain', self.imagenet_root, gpus=self.gpus
        )
        start = str(pretraining.checkpoint) if self.pretrain else self.start_weights
        options: dict[str, Any] = {}
        if start:
            options['model.backbone.init_cfg'] = dict(type='Pretrained', checkpoint=start)
            # The detector must normalize its input as in the training of the weights.
            for key, value in pretraining.cfg.get('detector_input', {}).items():
                options[f'model.data_preprocessor.{key}'] = value
        training = Training('train', config, self.out / 'train', self.data_root, options, self.gpus)
        test = Evaluation('test', config, self.out / 'test', self.data_root, options, training.checkpoint)
        speed = Speed('speed', config, self.out / 'speed', None, options, training.checkpoint)
        return [pretraining, training, test, speed] if self.pretrain else [training, test, speed]

    @cached_property
    def start_weights(self) -> str | None:
        """Existing weights for the backbone; None leaves them to the config, or to ``pretrain``."""
        if self.weights or self.config or self.pretrain:
            return self.weights
        return load_config(self.row.config).model.backbone.init_cfg.checkpoint
