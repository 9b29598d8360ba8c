"""OpenVINO on the CPU: ``.xml`` with ``.bin``, and ONNX files."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...utils.errors import UserError
from ..fixed_size import surrounded
from .target import Loaded, Program, Target

if TYPE_CHECKING:
    from ...config.options import ExportOptions

__all__ = ['TARGET', 'compile_for_cpu']


def compile_for_cpu(path: Path, threads: int | None = None, shape: Sequence[int] | None = None) -> Any:
    """Compile an ONNX or OpenVINO file in float32, without changing the thread's signal stack.

    Args:
        path: The file.
        threads: Number of threads; None for OpenVINO's default.
        shape: Fixed shape of the only input; None keeps dynamic axes.
    """
    import openvino  # optional

    model = openvino.Core().read_model(path)
    if shape is not None:
        model.reshape(list(shape))
    return _compiled(model, threads)


def _compiled(model: Any, threads: int | None) -> Any:
    import openvino

    options = dict(PERFORMANCE_HINT='LATENCY', INFERENCE_PRECISION_HINT='f32')
    with _same_signal_stack():
        return openvino.Core().compile_model(
            model, 'CPU', options if threads is None else options | dict(INFERENCE_NUM_THREADS=threads)
        )


class _Stack(ctypes.Structure):
    """``stack_t`` of sigaltstack(2)."""

    _fields_ = [('pointer', ctypes.c_void_p), ('flags', ctypes.c_int), ('size', ctypes.c_size_t)]


@contextmanager
def _same_signal_stack() -> Iterator[None]:
    """Restore the thread's stack for signal handlers afterwards.

    OpenVINO (2026.4) sets a signal stack when it compiles a model, and restores the previous one when the model is
    deleted. If the first of two models is deleted first, the second restores the first one's stack, which is freed. The
    next signal with a handler, such as the end of a child process, is then a segmentation fault.
    """
    if not sys.platform.startswith('linux'):
        yield
        return
    libc, before = ctypes.CDLL(None), _Stack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)


def _export(program: Program, out: Path, options: ExportOptions) -> None:
    from ..precision import write_precision

    if out.suffix == '.onnx':
        write_precision(program.onnx, program.about, out, options)
        return
    import openvino

    half = options.precision == 'fp16'  # OpenVINO converts weights to half precision itself
    graph = out.with_name('graph.onnx')
    write_precision(program.onnx, program.about, graph, replace(options, precision='fp32') if half else options)
    openvino.save_model(openvino.Core().read_model(graph), out, compress_to_fp16=half)
    graph.unlink()


def _load(path: Path, threads: int | None) -> Loaded:
    import openvino

    try:
        model = openvino.Core().read_model(path)
        compiled = _compiled(model, threads)
    except RuntimeError as error:
        raise UserError(f'{path} cannot be read by OpenVINO: {str(error).splitlines()[-1]}') from error
    about = dict(model.get_rt_info().items()).get('framework', {})  # metadata of ONNX files
    about = {key: value.astype(str) for key, value in about.items()}
    if 'selection' in about:  # written for TensorRT, without NMS
        return Loaded(*surrounded(about, lambda x, _: compiled(x[None]).to_tuple(), path))
    return Loaded(lambda image: compiled(image).to_tuple(), about)


TARGET = Target(
    'openvino',
    ('.xml', '.onnx'),
    'openvino',
    ('onnx', 'onnxruntime', 'openvino'),
    ('openvino',),
    1,
    _export,
    _load,
    ('fp32', 'fp16', 'int8'),
    batches=True,
)
