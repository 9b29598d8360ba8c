"""Apply the metadata of a checkpoint (class names, image size) to a config.

MMEngine writes the ``metainfo`` of the training data into each checkpoint: class names, colors and, if ``image_size``
was set, the image size. So ``snv2 eval``, ``predict`` and ``export`` need no flag for a detector that was trained on
other classes than the config's.
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
    """Set the classes and the image size of a checkpoint in a config, where they differ.

    If the checkpoint has no class names, and the config's names do not match the number of classes of its heads, the
    classes are named ``class 0``, ``class 1``, ..., and a note says how to name them. A checkpoint without metadata
    changes nothing.

    Args:
        cfg: The config that the checkpoint was trained with, except for its data. Changed in place.
        checkpoint: The loaded checkpoint.
    """
    meta = checkpoint_meta(checkpoint)
    # With the same names, the heads are as they were trained, even if their num_classes differs, unless it was set.
    if 'classes' in meta and (meta['set'] or meta['classes'] != tuple(config_meta(cfg).get('classes') or ())):
        set_classes(cfg, meta['classes'])
    elif 'classes' not in meta and (unnamed := _num_unnamed_classes(cfg)):
        set_classes(cfg, [f'class {label}' for label in range(unnamed)])
        print(
            in_words(
                f'note: the checkpoint has no class names, and the config has names for another number than {unnamed}. '
                f'The classes are named class 0, class 1, ... To set their names: `cfg_options` '
                f"test_dataloader.dataset.metainfo.classes=\"['cat','dog',...]\""
            ),
            file=sys.stderr,
        )
    if 'image_size' in meta:
        set_image_size(cfg, meta['image_size'])


def _num_unnamed_classes(cfg: Config) -> int:
    """Number of classes of the config's heads; 0 if the config has as many names, or no number."""
    numbers = {head['num_classes'] for head in class_heads(cfg.model) if head.get('num_classes')}
    names = config_meta(cfg).get('classes') or ()
    names = (names,) if isinstance(names, str) else names
    return 0 if not numbers or len(names) in numbers else max(numbers)


def config_meta(cfg: Config) -> dict[str, Any]:
    """``metainfo`` of the config's test data set, without loading annotations."""
    with registry_errors():
        return DATASETS.build(dict(cfg.test_dataloader.dataset, lazy_init=True)).metainfo
