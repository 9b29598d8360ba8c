"""Export targets: one file per runtime."""

from __future__ import annotations

import os
from pathlib import Path

from ...utils.errors import UserError
from . import coreml, litert, ncnn, onnxruntime, openvino, tensorrt, web
from .target import Target

__all__ = ['TARGETS', 'is_exported', 'target_of']

#: All targets by name. If several read files of one suffix, the first is the default.
TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        onnxruntime.TARGET,
        openvino.TARGET,
        ncnn.TARGET,
        litert.TARGET,
        tensorrt.TARGET,
        coreml.TARGET,
        web.TARGET,
    )
}


def is_exported(path: str | os.PathLike[str] | None) -> bool:
    """Whether a file is an exported detector, judged by its suffix."""
    return path is not None and any(Path(path).suffix.lower() in target.suffixes for target in TARGETS.values())


def target_of(path: str | os.PathLike[str], name: str | None = None) -> Target:
    """The target ``name``, or, if that is None, the first that reads files of this suffix.

    Raises:
        UserError: If the target is unknown, or does not read files of this suffix.
    """
    if name is not None and name not in TARGETS:
        raise UserError(f'target={name} is unknown: expected one of {", ".join(TARGETS)}.')
    for target in TARGETS.values() if name is None else [TARGETS[name]]:
        if Path(path).suffix.lower() in target.suffixes or (name is not None and target.is_folder):
            return target
    raise UserError(
        f'{path}: expected a name that ends in '
        + ', '.join(
            f'{" or ".join(target.suffixes)} ({target.name})'
            for target in TARGETS.values()
            if name in (None, target.name) and not target.is_folder
        )
        + '.'
    )
