"""What a target is: the one interface that every file beside this one offers."""

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

#: Metadata entry that tells a file of ours.
MADE_BY = 'mmdet_shufflenetv2'
#: Names of systems by ``sys.platform``.
_SYSTEMS = dict(darwin='macOS', linux='Linux', win32='Windows')


class Program(NamedTuple):
    """A detector that is ready to be written."""

    #: From ``image`` to what :class:`..graph.DetectionGraph` returns, in eval mode on the CPU.
    graph: Any
    #: ``image`` to trace with: ``(H, W, 3)`` uint8, of a batch of several ``(N, H, W, 3)``.
    image: Tensor
    #: Metadata that the file has to carry: JSON by name.
    about: dict[str, str]
    #: The same as an ONNX file with this metadata, which has passed the check.
    onnx: Path


class Loaded(NamedTuple):
    """A file that is ready to run."""

    #: Takes ``image``, returns ``dets`` ``(N, 5)`` and ``labels`` ``(N,)`` (docs/deploy.md has a table of them, and of
    #: those of a batch).
    run: Callable[[np.ndarray], Sequence[np.ndarray]]
    #: The file's metadata: JSON by name.
    about: Mapping[str, str]


@dataclass(frozen=True)
class Target:
    """A runtime that detectors are exported for."""

    name: str
    #: Suffixes of files that it reads; the first is its own. None if it writes a folder: then it has to be named.
    suffixes: tuple[str, ...]
    #: Of this package: ``pip install '.[extra]'`` installs what exporting and running need.
    extra: str
    #: Modules that exporting needs, and that running needs.
    export_modules: tuple[str, ...]
    run_modules: tuple[str, ...]
    #: ``block`` of the shuffle-free form that is fastest there, see :func:`..shuffle_free.shuffle_free`.
    block: int | None
    #: Write a program to a path that ends in one of ``suffixes``, or to a new folder. Returns the largest difference of
    #: scores and of boxes from the detector's, or None where the ONNX file's are the file's.
    export: Callable[[Program, Path, ExportOptions], tuple[float, float] | None]
    #: Read a file that ``export`` wrote, to run on so many threads; None leaves their number to the runtime.
    load: Callable[[Path, int | None], Loaded]
    #: Values of ``precision`` that it can write.
    precisions: tuple[str, ...] = ('fp32',)
    #: Whether it takes several images at once.
    batches: bool = False
    #: Command that makes of the file what the runtime runs, with ``{path}`` and ``{stem}``; empty if it runs the file.
    next_step: str = ''
    #: Distributions and the oldest version of each that will do.
    oldest: tuple[tuple[str, str], ...] = ()
    #: ``sys.platform`` of the only system that runs its files; None for any.
    platform: str | None = None
    #: What has its suffix is a folder.
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
        """Whether it writes a folder, which other programs run, and not a file."""
        return not self.suffixes

    def need(self, modules: Sequence[str], what: str) -> None:
        """Raise a :class:`UserError` that names the modules which are missing or too old; ``what`` needs them."""
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
