"""What a checkpoint knows about the data that it was trained on, put to use wherever it is loaded.

MMEngine writes the training data's ``metainfo`` into each checkpoint: class names, colours and, after ``image_size``,
the size. So ``snv2 eval``, ``predict`` and ``export`` need no flag for a detector of other classes than the
config's.
"""

from __future__ import annotations

import sys
from typing import Any

from mmdet.registry import DATASETS
from mmengine.config import Config

from ..checkpoints.metadata import checkpoint_meta
from ..compat.registry_errors import registry_errors
from ..utils.options import in_words
from .classes import class_heads, set_classes
from .image_size import set_image_size

__all__ = ['apply_checkpoint_metadata', 'config_meta']


def apply_checkpoint_metadata(cfg: Config, checkpoint: dict[str, Any]) -> None:
    """Give a config the classes and the image size of a checkpoint where they differ; ``cfg`` is changed in place.

    Where the checkpoint has no names and the config has others than its heads have classes, they are called
    ``class 0``, ``class 1``, ..., and a line says how to give them. The config is the one that the checkpoint was
    trained with, but for the data. A checkpoint that says nothing about its data changes nothing.
    """
    meta = checkpoint_meta(checkpoint)
    # Of the same names the config's heads are as they were trained, whatever number they state, unless it was set.
    if 'classes' in meta and (meta['set'] or meta['classes'] != tuple(config_meta(cfg).get('classes') or ())):
        set_classes(cfg, meta['classes'])
    elif 'classes' not in meta and (unnamed := _classes_without_a_name(cfg)):
        set_classes(cfg, [f'class {label}' for label in range(unnamed)])
        print(in_words(
              f'note: the checkpoint has no class names, and those of the config are not of {unnamed} classes, so they '
              f'are called class 0, class 1, ... To name them: `cfg_options` '
              f'test_dataloader.dataset.metainfo.classes="[\'cat\',\'dog\',...]"'), file=sys.stderr)
    if 'image_size' in meta:
        set_image_size(cfg, meta['image_size'])


def _classes_without_a_name(cfg: Config) -> int:
    """How many classes the config's heads have; 0 where it has as many names, or states no number."""
    numbers = {head['num_classes'] for head in class_heads(cfg.model) if head.get('num_classes')}
    names = config_meta(cfg).get('classes') or ()
    names = (names, ) if isinstance(names, str) else names
    return 0 if not numbers or len(names) in numbers else max(numbers)


def config_meta(cfg: Config) -> dict[str, Any]:
    """``metainfo`` of the config's test data, without reading them."""
    with registry_errors():
        return DATASETS.build(dict(cfg.test_dataloader.dataset, lazy_init=True)).metainfo
