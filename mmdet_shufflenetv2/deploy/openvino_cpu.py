"""Compiling a graph with OpenVINO for the CPU, without what compiling leaves behind."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ['compile_for_cpu']


def compile_for_cpu(path: Path, threads: int | None = None, shape: Sequence[int] | None = None) -> Any:
    """OpenVINO's compiled model of an ONNX file, in float32.

    Args:
        threads: Threads to compute with; None leaves it to OpenVINO.
        shape: Fixes the only input to this shape; None keeps its dynamic axes.
    """
    import openvino  # optional
    core = openvino.Core()
    model = core.read_model(path)
    if shape is not None:
        model.reshape(list(shape))
    options = dict(PERFORMANCE_HINT='LATENCY', INFERENCE_PRECISION_HINT='f32')
    with _same_signal_stack():
        return core.compile_model(
            model, 'CPU', options if threads is None else options | dict(INFERENCE_NUM_THREADS=threads))


class _Stack(ctypes.Structure):
    """``stack_t`` of sigaltstack(2)."""

    _fields_ = [('pointer', ctypes.c_void_p), ('flags', ctypes.c_int), ('size', ctypes.c_size_t)]


@contextmanager
def _same_signal_stack() -> Iterator[None]:
    """Leave the thread's stack for signal handlers as it is.

    A model that OpenVINO (2026.4) compiles gives the thread a stack for signals, and on its end puts the one before in
    its place. Of two models of which the first ends first, the second then puts back the first's, which is gone, and
    the next signal that has a handler, such as a child process's end, is a segmentation fault.
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
