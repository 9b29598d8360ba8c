"""The weights that a training starts from if no option names them, and the edits that depend on them."""

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
    """If a checkpoint was given instead of a config, start from its weights in a separate work dir."""
    checkpoint = Path(options.config)
    if checkpoint.suffix not in CHECKPOINT_SUFFIXES or options.resume or 'load_from' in (options.cfg_options or {}):
        return
    cfg.load_from = str(checkpoint)
    if options.work_dir is None and Path(cfg.work_dir).absolute() == checkpoint.parent.absolute():
        cfg.work_dir += f'_from_{checkpoint.stem}'  # keeps the files of the earlier run


def start_from_published(cfg: Config, options: TrainOptions) -> dict[str, str]:
    """Start a detector of this project from its published weights, if there are any."""
    if cfg.get('load_from') or 'load_from' in (options.cfg_options or {}):
        return {}
    for name, weights in WEIGHTS.items():
        if weights.variant and cfg.filename and Path(cfg.filename).resolve() == project_config(weights.config):
            try:
                fetch_weights(name)
            except DownloadError as error:
                raise UserError(f'{error} Or train without them: `cfg_options` load_from=None') from error
            cfg.load_from = name
            return dict(start=f'from the published weights {name}; `cfg_options` load_from=None disables this')
    return {}


def start_weights(cfg: Config) -> dict[str, Any] | None:
    """The checkpoint to start from, if it contains a complete detector and not only a backbone."""
    loaded = CheckpointLoader.load_checkpoint(cfg.load_from, map_location='cpu') if cfg.get('load_from') else None
    is_detector = isinstance(loaded, dict) and any('head.' in str(key) for key in find_weights(loaded))
    return loaded if is_detector else None  # errors are reported when the weights are loaded


def fit_assignment(cfg: Config, options: TrainOptions, weights: dict[str, Any] | None) -> dict[str, str]:
    """Disable NanoDet-Plus's assign guidance if the start weights have a trained head but no guidance module.

    The trained predictions then assign labels better than a new, untrained guidance module would.

    Args:
        cfg: Changed in place.
        options: The options of the run. Entries in ``cfg_options`` are not changed.
        weights: The result of :func:`start_weights`.

    Returns:
        What was chosen and why, by the name of its line on the first screen.
    """
    train_cfg: Any = cfg.model.get('train_cfg') or {}
    named = any(key.startswith('model.train_cfg') for key in options.cfg_options or {})
    if named or not train_cfg.get('assign_guidance') or weights is None or has_guidance(find_weights(weights)):
        return {}
    train_cfg.assign_guidance = None
    return dict(assignment="by the detector's own predictions, because the weights contain no assign guidance")
