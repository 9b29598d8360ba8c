"""Build a detector from its config and checkpoint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from mmdet.datasets import CocoDataset
from mmdet.utils import register_all_modules
from mmengine.runner.checkpoint import CheckpointLoader

from ..checkpoints.metadata import checkpoint_meta
from ..models.build import build_model, load_weights
from ..utils.device import usable_device
from ..utils.errors import UserError
from .access import require_detector, require_entries
from .checkpoint_meta import apply_checkpoint_metadata, config_meta
from .image_size import parse_image_size, set_image_size
from .load import load_checkpoint_config, load_config

__all__ = ['category_ids', 'load_detector']

# COCO numbers its 80 categories from 1 to 90. These ids are not used.
_COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)


def load_detector(
    config: str | os.PathLike[str] | None,
    checkpoint: str | os.PathLike[str],
    device: str | None = None,
    cfg_options: dict[str, Any] | None = None,
    image_size: str | None = None,
) -> torch.nn.Module:
    """Build a detector and load its weights, in eval mode.

    Classes and image size are those of the checkpoint, even if the config has others.

    Args:
        config: Config file. None takes the one inside the checkpoint, or the matching one for NanoDet's own files,
            which contain none.
        checkpoint: Weights of that config's model.
        device: ``cpu``, ``cuda:0``, ...; by default a GPU if there is one.
        cfg_options: Config entries to override.
        image_size: What an image must fit into, see :func:`.parse_image_size`; None for that of the training.

    Returns:
        The detector. Its ``cfg`` is the config. Its ``dataset_meta`` has ``classes`` and ``category_ids``, the
        ``category_id`` of each class in COCO files.

    Raises:
        UserError: If config, checkpoint or device is invalid.
    """
    usable = usable_device(device or ('cuda:0' if torch.cuda.is_available() else 'cpu'))
    # An invalid config is reported before the checkpoint is read.
    cfg = load_checkpoint_config(checkpoint, cfg_options) if config is None else load_config(config, cfg_options)
    loaded = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu')
    if not isinstance(loaded, dict):
        raise UserError(f'{checkpoint} contains a {type(loaded).__name__}, expected the weights of a model.')
    register_all_modules(init_default_scope=True)
    require_detector(cfg, 'Prediction and export are for detectors')
    require_entries(cfg, 'test_dataloader')
    apply_checkpoint_metadata(cfg, loaded)
    if image_size is not None:
        set_image_size(cfg, parse_image_size(image_size))
    model: Any = build_model(cfg.model)
    load_weights(model, loaded, str(checkpoint))
    model.cfg = cfg
    known = checkpoint_meta(loaded)
    meta = config_meta(cfg) | {key: known[key] for key in ('classes', 'category_ids') if key in known}
    model.dataset_meta = dict(category_ids=category_ids(meta['classes'])) | meta
    return model.to(usable)


def category_ids(classes: Sequence[str]) -> list[int]:
    """The default ``category_id`` of each class: COCO's for its 80 classes, otherwise 1, 2, 3, ..."""
    if tuple(classes) == CocoDataset.METAINFO['classes']:
        return [number for number in range(1, 91) if number not in _COCO_GAPS]
    return list(range(1, len(classes) + 1))
