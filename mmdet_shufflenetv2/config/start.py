"""The weights that a training starts from, where no option names them, and what follows from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader

from ..checkpoints.download import DownloadError
from ..checkpoints.named import WEIGHTS, fetch_weights
from ..checkpoints.nanodet_layout import has_guidance
from ..checkpoints.unwrap import find_weights
from ..utils.errors import UserError
from .load import CHECKPOINT_SUFFIXES
from .options import TrainOptions
from .project import project_config

__all__ = ['fit_assignment', 'start_from_checkpoint', 'start_from_published', 'start_weights']


def start_from_checkpoint(cfg: Config, options: TrainOptions) -> None:
    """Start from the weights of a checkpoint that stands in place of a config, in a work dir of its own."""
    checkpoint = Path(options.config)
    if checkpoint.suffix not in CHECKPOINT_SUFFIXES or options.resume or 'load_from' in (options.cfg_options or {}):
        return
    cfg.load_from = str(checkpoint)
    if options.work_dir is None and Path(cfg.work_dir).absolute() == checkpoint.parent.absolute():
        cfg.work_dir += f'_from_{checkpoint.stem}'  # the run that it is from stays as it is


def start_from_published(cfg: Config, options: TrainOptions) -> dict[str, str]:
    """Start one of this project's detectors from the weights that are published for it."""
    if cfg.get('load_from') or 'load_from' in (options.cfg_options or {}):
        return {}
    for name, weights in WEIGHTS.items():
        if weights.variant and cfg.filename and Path(cfg.filename).resolve() == project_config(weights.config):
            try:
                fetch_weights(name)
            except DownloadError as error:
                raise UserError(f'{error} Or start without them: `cfg_options` load_from=None') from error
            cfg.load_from = name
            return dict(start=f'from the published weights {name}; `cfg_options` load_from=None does without them')
    return {}


def start_weights(cfg: Config) -> dict[str, Any] | None:
    """The checkpoint to start from, where it holds a whole detector."""
    loaded = CheckpointLoader.load_checkpoint(cfg.load_from, map_location='cpu') if cfg.get('load_from') else None
    whole = isinstance(loaded, dict) and any('head.' in str(key) for key in find_weights(loaded))
    return loaded if whole else None  # loading says what is wrong


def fit_assignment(cfg: Config, options: TrainOptions, weights: dict[str, Any] | None) -> dict[str, str]:
    """Leave out NanoDet-Plus's guidance where the weights to start from can do better than a new one.

    Args:
        cfg: Changed in place.
        options: Of the run; what ``cfg_options`` name stays as it is.
        weights: What :func:`start_weights` returned.

    Returns:
        What was chosen and why, by the names of the first screen's lines.
    """
    train_cfg: Any = cfg.model.get('train_cfg') or {}
    named = any(key.startswith('model.train_cfg') for key in options.cfg_options or {})
    if named or not train_cfg.get('assign_guidance') or weights is None or has_guidance(find_weights(weights)):
        return {}
    train_cfg.assign_guidance = None
    return dict(assignment="by the detector's own predictions: the weights come without the guidance of their training")
