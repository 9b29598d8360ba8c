"""Runtimes that detectors are exported for: a file each."""

from __future__ import annotations

import os
from pathlib import Path

from ...utils.errors import UserError
from . import coreml, litert, ncnn, onnxruntime, openvino, tensorrt, web
from .target import Target

__all__ = ['TARGETS', 'is_exported', 'target_of']

#: All of them by name. Of those that read files of one suffix, the first does unless another is asked for.
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
    """Whether a file is an exported detector, by its name."""
    return path is not None and any(Path(path).suffix.lower() in target.suffixes for target in TARGETS.values())


def target_of(path: str | os.PathLike[str], name: str | None = None) -> Target:
    """The target called ``name``, or the first that reads a file of this suffix where that is None.

    Raises:
        UserError: If there is no such target, or it reads no such files.
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
