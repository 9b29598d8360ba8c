"""Calls that run a network in PyTorch, onnxruntime, OpenVINO or ncnn."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ...deploy.targets.onnxruntime import session
from ...deploy.targets.openvino import compile_for_cpu
from ...utils.errors import UserError
from .task import Task, UnavailableError

__all__ = ['compiled', 'cuda_graph_call', 'graph_call', 'ncnn_call', 'no_grad_call']


def no_grad_call(call: Callable[[], object]) -> Callable[[], object]:
    """The call without autograd."""
    return torch.no_grad()(call)


def compiled(module: nn.Module, x: torch.Tensor) -> Callable[[], object]:
    """A call of the module compiled by ``torch.compile``; compilation is already done."""
    fast = torch.compile(module)
    call = no_grad_call(lambda: fast(x))
    try:
        call()
    except Exception as error:  # the compiler can raise anything
        raise UnavailableError(f'torch.compile does not work here ({str(error).splitlines()[0]})') from error
    return call


def cuda_graph_call(module: Callable[[torch.Tensor], object], x: torch.Tensor) -> Callable[[], object]:
    """A call that replays the kernels of ``module(x)``, which are recorded first."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # of PyTorch
    stream.wait_stream(torch.cuda.current_stream())
    with torch.no_grad(), torch.cuda.stream(stream):
        for _ in range(3):  # libraries choose their kernels
            module(x)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.no_grad(), torch.cuda.graph(graph):
            outputs = module(x)
    except RuntimeError as error:  # an operation that waits for the GPU
        raise UnavailableError(f'it cannot be recorded ({str(error).splitlines()[0]})') from error

    def replay() -> object:
        graph.replay()
        return outputs

    return replay


def graph_call(task: Task, runtime: str, export: Callable[[Path], object], feed: np.ndarray) -> Callable[[], object]:
    """A call of an exported graph in onnxruntime or OpenVINO.

    Args:
        task: Gives the number of threads.
        runtime: ``onnxruntime`` or ``openvino``.
        export: Writes the graph to a file.
        feed: Its only input. OpenVINO's graph is compiled for this size.
    """
    _need(task, 'onnx', runtime)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'graph.onnx'
        try:
            export(path)
        except UserError as error:
            raise UnavailableError(str(error)) from error
        if runtime == 'onnxruntime' and task.device != 'cpu':
            return _onnxruntime_on_gpu(path, task, feed)
        if runtime == 'onnxruntime':
            graph = session(path, task.threads)
            name = graph.get_inputs()[0].name
            return lambda: graph.run(None, {name: feed})
        request = compile_for_cpu(path, task.threads, feed.shape).create_infer_request()
        return lambda: request.infer([feed])


def _onnxruntime_on_gpu(path: Path, task: Task, feed: np.ndarray) -> Callable[[], object]:
    import onnxruntime

    provider = 'CUDAExecutionProvider'
    graph = (
        session(path, task.threads, provider=provider) if provider in onnxruntime.get_available_providers() else None
    )
    if graph is None or provider not in graph.get_providers():
        raise UnavailableError(f'onnxruntime has no usable {provider} (pip install onnxruntime-gpu)')
    binding, index = graph.io_binding(), torch.device(task.device).index or 0
    # Input and outputs stay on the GPU, as PyTorch's do.
    binding.bind_ortvalue_input(
        graph.get_inputs()[0].name, onnxruntime.OrtValue.ortvalue_from_numpy(feed, 'cuda', index)
    )
    for output in graph.get_outputs():
        binding.bind_output(output.name, 'cuda', index)
    return lambda: graph.run_with_iobinding(binding)


def ncnn_call(task: Task, module: nn.Module, x: torch.Tensor) -> Callable[[], object]:
    """A call of a network in ncnn, converted by ncnn's own ``pnnx``.

    ``module`` returns a tuple of feature maps for ``x``, ``(1, 3, H, W)``.
    """
    _need(task, 'pnnx', 'ncnn')
    import ncnn
    import pnnx

    with torch.no_grad():
        outputs = len(module(x))
    net = ncnn.Net()
    net.opt.num_threads = task.threads
    for option in ('use_fp16_packed', 'use_fp16_storage', 'use_fp16_arithmetic', 'use_bf16_storage'):
        setattr(net.opt, option, False)
    with tempfile.TemporaryDirectory() as folder:
        pnnx.export(module, f'{folder}/net.pt', (x,), fp16=False)
        net.load_param(f'{folder}/net.ncnn.param')
        net.load_model(f'{folder}/net.ncnn.bin')
    image = x[0].numpy()

    def call() -> list[np.ndarray]:
        extractor = net.create_extractor()
        extractor.input('in0', ncnn.Mat(image))
        return [np.array(extractor.extract(f'out{i}')[1])[None] for i in range(outputs)]

    return call


def _need(task: Task, *packages: str) -> None:
    for package in packages:
        if find_spec(package) is None:
            raise UnavailableError(f'{package} is not installed (pip install {package})')
    if task.device != 'cpu' and packages[-1] != 'onnxruntime':
        raise UnavailableError(f'{packages[-1]} is measured on the CPU only')
