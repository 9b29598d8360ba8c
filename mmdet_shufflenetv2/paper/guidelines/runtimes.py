"""Running a network in PyTorch, or exported in ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...deploy.onnx_graph import write_graph
from ...deploy.targets.onnxruntime import session
from ...utils.errors import UserError

__all__ = ['RUNTIMES', 'check_runtime', 'make_call', 'onnx_session']

RUNTIMES = ('torch', 'onnxruntime')


def check_runtime(runtime: str, device: torch.device) -> None:
    """Raise a :class:`UserError` if a runtime is unknown, is not installed or does not support the device."""
    if runtime not in RUNTIMES:
        raise UserError(f'runtime={runtime} is unknown: expected {" or ".join(RUNTIMES)}.')
    if runtime == 'onnxruntime':
        missing = [name for name in ('onnx', 'onnxruntime') if find_spec(name) is None]
        if missing:
            raise UserError(f'runtime=onnxruntime needs {" and ".join(missing)}: pip install {" ".join(missing)}.')
        if device.type != 'cpu':
            raise UserError(
                f'runtime=onnxruntime is measured on the CPU only, not on {device}. Use device=cpu or runtime=torch.'
            )


def make_call(runtime: str, network: nn.Module, x: Tensor) -> Callable[[], object]:
    """A call that runs ``network`` on ``x`` in that runtime, with PyTorch's number of threads."""
    if runtime == 'onnxruntime':
        graph, feed = onnx_session(network, x), {'x': x.numpy()}
        return lambda: graph.run(None, feed)

    def call() -> object:
        with torch.inference_mode():
            return network(x)

    return call


def onnx_session(network: nn.Module, x: Tensor, profile_prefix: str | None = None) -> Any:
    """A session of ONNX Runtime for inputs of the shape of ``x``; a ``profile_prefix`` enables its profiler."""
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / 'graph.onnx'
        write_graph(network, x, graph, inputs={'x': {}}, outputs={})
        return session(graph, torch.get_num_threads(), profile_prefix)
