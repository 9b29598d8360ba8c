"""The interface of an export target, which the other files of this folder implement."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...utils.errors import UserError

if TYPE_CHECKING:  # running a file needs no PyTorch
    from torch import Tensor

    from ...config.options import ExportOptions

__all__ = ['MADE_BY', 'Loaded', 'Program', 'Target']

#: Metadata entry that identifies files written by ``snv2 export``.
MADE_BY = 'mmdet_shufflenetv2'
#: Names of systems by ``sys.platform``.
_SYSTEMS = dict(darwin='macOS', linux='Linux', win32='Windows')


class Program(NamedTuple):
    """A detector that is ready for a target's export."""

    #: A :class:`..graph.DetectionGraph` in eval mode on the CPU.
    graph: Any
    #: Example input: ``(H, W, 3)`` uint8; for a batch size above 1 ``(N, H, W, 3)``.
    image: Tensor
    #: Metadata for the file: JSON by name.
    about: dict[str, str]
    #: The graph as an ONNX file with this metadata, which passed the check.
    onnx: Path


class Loaded(NamedTuple):
    """A loaded file."""

    #: From ``image`` to ``dets`` ``(N, 5)`` and ``labels`` ``(N,)``; docs/deploy.md has a table of inputs and outputs,
    #: also those of a batch.
    run: Callable[[np.ndarray], Sequence[np.ndarray]]
    #: The file's metadata: JSON by name.
    about: Mapping[str, str]


@dataclass(frozen=True)
class Target:
    """A runtime and its file format."""

    name: str
    #: Suffixes of files that it reads; the first is the one it writes. Empty if it writes a folder; then users select
    #: it by name.
    suffixes: tuple[str, ...]
    #: Extra of this package with the dependencies of export and inference: ``pip install '.[extra]'``.
    extra: str
    #: Modules needed for export, and for inference.
    export_modules: tuple[str, ...]
    run_modules: tuple[str, ...]
    #: Fastest ``block`` of the shuffle-free form on this runtime, see :func:`..shuffle_free.shuffle_free`.
    block: int | None
    #: Writes a program to a path with one of ``suffixes``, or to a new folder. Returns the largest difference of scores
    #: and of boxes in pixels from the detector's, or None if those of the ONNX file apply.
    export: Callable[[Program, Path, ExportOptions], tuple[float, float] | None]
    #: Loads a file that ``export`` wrote. The second argument is the number of threads; None for the runtime's default.
    load: Callable[[Path, int | None], Loaded]
    #: Supported values of ``precision``.
    precisions: tuple[str, ...] = ('fp32',)
    #: Whether int8 needs images to calibrate on: not where weights alone are in 8 bits.
    calibrates: bool = True
    #: Whether batch sizes above 1 are supported.
    batches: bool = False
    #: Command that converts the file for the runtime, with ``{path}`` and ``{stem}``; empty if the runtime reads it.
    next_step: str = ''
    #: Distributions with their oldest supported versions.
    oldest: tuple[tuple[str, str], ...] = ()
    #: ``sys.platform`` of the only system that runs its files; None for any.
    platform: str | None = None
    #: Whether a path with its suffix is a folder.
    writes_folder: bool = False

    @property
    def system(self) -> str:
        """Name of the only system that runs its files."""
        return _SYSTEMS.get(self.platform or '', 'every system')

    @property
    def runs_here(self) -> bool:
        """Whether this system can run its files."""
        return self.platform in (None, sys.platform)

    @property
    def is_folder(self) -> bool:
        """Whether it writes a folder for other programs, not a file."""
        return not self.suffixes

    def need(self, modules: Sequence[str], what: str) -> None:
        """Check the modules that ``what`` needs.

        Raises:
            UserError: If some are missing or too old.
        """
        if missing := [module for module in modules if find_spec(module) is None]:
            raise UserError(
                f'{what} needs {" and ".join(missing)}: pip install {" ".join(missing)}, or this package '
                f"with its extra: pip install '.[{self.extra}]'."
            )
        for name, oldest in self.oldest:
            if name.replace('-', '_') in modules and _numbers(found := version(name)) < _numbers(oldest):
                raise UserError(
                    f'{what} needs {name} {oldest} or later, got {found}: pip install -U {name}, or this '
                    f"package with its extra: pip install '.[{self.extra}]'."
                )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r'\d+', text)[:2]))
