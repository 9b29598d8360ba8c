"""onnxruntime: ONNX files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...utils.errors import UserError
from ..fixed_size import surrounded
from .target import Loaded, Program, Target

if TYPE_CHECKING:
    from ...config.options import ExportOptions

__all__ = ['TARGET', 'session']


def session(
    path: str | os.PathLike[str] | bytes,
    threads: int | None = None,
    profile_prefix: str | None = None,
    provider: str = 'CPUExecutionProvider',
) -> Any:
    """An onnxruntime session of a file.

    Args:
        path: The file, or its content.
        threads: Number of threads; None for onnxruntime's default.
        profile_prefix: Prefix of the name of the profile that onnxruntime writes; None for no profile.
        provider: What computes; onnxruntime falls back to the CPU if it cannot load it.

    Raises:
        UserError: If the file is not an ONNX graph.
    """
    import onnxruntime  # optional

    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    # Threads that spin while they wait slow down other programs.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    options.log_severity_level = 3
    if profile_prefix is not None:
        options.enable_profiling, options.profile_file_prefix = True, profile_prefix
    try:
        return onnxruntime.InferenceSession(os.fspath(path), options, providers=[provider])
    except Exception as error:  # onnxruntime's exceptions have no common base class
        raise UserError(f'{path!s} cannot be read as an ONNX graph: {str(error).splitlines()[0]}') from error


def _export(program: Program, out: Path, options: ExportOptions) -> None:
    from ..precision import write_precision

    write_precision(program.onnx, program.about, out, options)


def _load(path: Path, threads: int | None) -> Loaded:
    graph = session(path, threads)
    about = graph.get_modelmeta().custom_metadata_map
    if 'selection' in about:  # written for TensorRT, without NMS
        return Loaded(*surrounded(about, lambda x, _: graph.run(None, {'input': x[None]}), path))
    return Loaded(lambda image: graph.run(None, {'image': image}), about)


TARGET = Target(
    'onnxruntime',
    ('.onnx',),
    'deploy',
    ('onnx', 'onnxruntime'),
    ('onnxruntime',),
    16,
    _export,
    _load,
    ('fp32', 'fp16', 'int8'),
    batches=True,
)
