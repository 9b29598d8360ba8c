"""Find the detectors for the browser page: those named on the command line, or else those in work dirs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..checkpoints.named import named_weights
from ..checkpoints.safe_loading import load
from ..config.load import CONFIG_SUFFIXES, load_checkpoint_config
from ..deploy.exported import ExportedDetector
from ..deploy.targets import is_exported
from ..utils.errors import UserError

__all__ = ['Model', 'find_models']


class Model(NamedTuple):
    """Arguments of :class:`.Detector`."""

    config: str | None
    weights: str | None


def find_models(arguments: Sequence[str] = (), work_dirs: str | os.PathLike[str] = 'work_dirs') -> dict[str, Model]:
    """Find detectors, by the paths of their files.

    Args:
        arguments: ``[CONFIG] CHECKPOINT...`` and exported files. A config applies to the checkpoints after it. No
            config is needed for checkpoints in the work dir of a run, checkpoints with their config inside, and
            NanoDet's own weights, which can also be named.
        work_dirs: Folder of runs, which is searched if there are no arguments.

    Raises:
        UserError: If a file is missing or not a detector, or if no detector is found.
    """
    if not arguments:
        folder = Path(work_dirs)
        found = sorted(
            (path for path in folder.glob('*/*') if path.suffix == '.pth' or is_exported(path)),
            key=lambda path: -path.stat().st_mtime,
        )
        models = {str(path): _model(path, None) for path in found if is_exported(path) or _config_beside(path)}
        if not models:
            raise UserError(
                f'No checkpoint found in {folder}/*/. Name some: snv2 app [CONFIG] CHECKPOINT..., '
                f'FILE.onnx, or published weights such as nanodet-plus-m-416.'
            )
        return models
    models, config = {}, None
    for argument in arguments:
        file = Path(named_weights(argument))
        if not file.is_file():
            raise UserError(f'File not found: {argument}. Expected [CONFIG] CHECKPOINT... or FILE.onnx.')
        if file.suffix in CONFIG_SUFFIXES:
            config = argument
        else:
            models[argument] = _model(file, config)
    for config_or_file, weights in models.values():  # report invalid files before the page starts
        if weights is None:
            ExportedDetector(str(config_or_file))
        elif config_or_file is None:
            load_checkpoint_config(weights)
        else:
            load(weights)
    if not models:
        raise UserError(f'{config} is a config without a checkpoint. Expected CONFIG CHECKPOINT.')
    return models


def _model(path: Path, config: str | None) -> Model:
    return Model(str(path), None) if is_exported(path) else Model(config or _config_beside(path), str(path))


def _config_beside(path: Path) -> str | None:
    """The config that MMEngine writes to the work dir of a run."""
    configs = list(path.parent.glob('*.py'))
    return str(configs[0]) if len(configs) == 1 else None
