"""Detectors that a person may choose from: those named on a command line, else those that runs have left."""

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
    """What :class:`.Detector` takes."""

    config: str | None
    weights: str | None


def find_models(arguments: Sequence[str] = (), work_dirs: str | os.PathLike = 'work_dirs') -> dict[str, Model]:
    """Detectors by what to call them: their files' paths.

    Args:
        arguments: ``[CONFIG] CHECKPOINT...`` and exported files. A config holds for the checkpoints behind it; one in
            the folder of a run needs none, nor does one with its config inside, nor do NanoDet's own weights, whose
            names are taken too.
        work_dirs: Folder of runs, searched where no argument is given.

    Raises:
        UserError: If a file that is named is missing or no detector, or if there is nothing to choose from.
    """
    if not arguments:
        folder = Path(work_dirs)
        found = sorted((path for path in folder.glob('*/*') if path.suffix == '.pth' or is_exported(path)),
                       key=lambda path: -path.stat().st_mtime)
        models = {str(path): _model(path, None) for path in found if is_exported(path) or _config_beside(path)}
        if not models:
            raise UserError(f'There is no checkpoint in {folder}/*/. Name some: snv2 app [CONFIG] CHECKPOINT... or '
                            f'FILE.onnx; NanoDet-m\'s own weights need no config.')
        return models
    models, config = {}, None
    for argument in arguments:
        file = Path(named_weights(argument))
        if not file.is_file():
            raise UserError(f'There is no file {argument}. Expected [CONFIG] CHECKPOINT... or FILE.onnx.')
        if file.suffix in CONFIG_SUFFIXES:
            config = argument
        else:
            models[argument] = _model(file, config)
    for config_or_file, weights in models.values():  # an invalid one is said before there is a page
        if weights is None:
            ExportedDetector(config_or_file)
        elif config_or_file is None:
            load_checkpoint_config(weights)
        else:
            load(weights)
    if not models:
        raise UserError(f'{config} is a config alone; expected CONFIG CHECKPOINT.')
    return models


def _model(path: Path, config: str | None) -> Model:
    return Model(str(path), None) if is_exported(path) else Model(config or _config_beside(path), str(path))


def _config_beside(path: Path) -> str | None:
    """The config that MMEngine writes into the folder of a run."""
    configs = list(path.parent.glob('*.py'))
    return str(configs[0]) if len(configs) == 1 else None
