"""Run time of ShuffleNet V2 by kind of operation: convolutions, element-wise, copies (figure 2 of the paper)."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

from ...models.backbones import ShuffleNetV2
from ...models.backbones.architectures import TABLE_5
from ...profiling.memory_access import Kind, operation_kind
from .runtimes import make_call, onnx_session

__all__ = ['kinds_of', 'shares', 'shufflenet_breakdown', 'time_by_kind']

#: Height and width of the image in pixels, as for the paper's classifiers.
IMAGE = 224

# ONNX Runtime's operators. It fuses norms and most ReLUs into the convolutions. Reorder* are copies into and out of
# channel blocks.
_ONNX_KINDS = {
    Kind.CONVOLUTION: ('Conv', 'FusedConv', 'ConvTranspose'),
    Kind.ELEMENTWISE: (
        'Relu',
        'Clip',
        'LeakyRelu',
        'Add',
        'Mul',
        'Sigmoid',
        'HardSigmoid',
        'HardSwish',
        'QuickGelu',
        'BatchNormalization',
    ),
    Kind.DATA_MOVEMENT: (
        'Split',
        'Concat',
        'Transpose',
        'Reshape',
        'Slice',
        'Gather',
        'Pad',
        'ReorderInput',
        'ReorderOutput',
    ),
}


def shufflenet_breakdown(
    runtime: str = 'torch', device: str = 'cpu', runs: int = 50, progress: bool = True
) -> dict[str, dict[Kind, float]]:
    """Seconds per run by kind of operation for each width of ShuffleNet V2, conv5 included, on one 224x224 image."""
    times = {}
    for width in tqdm(TABLE_5, desc='ShuffleNet V2', unit='width', disable=not progress):
        network = ShuffleNetV2(widen_factor=width, out_indices=(4,)).eval().to(device)
        x = torch.rand(1, 3, IMAGE, IMAGE, device=device)
        times[f'{width}x'] = time_by_kind(network, x, runtime, runs)
    return times


def time_by_kind(network: nn.Module, x: Tensor, runtime: str = 'torch', runs: int = 50) -> dict[Kind, float]:
    """Seconds of one run of ``network`` on ``x`` in each kind of operation, from the runtime's profiler.

    Time between operations (Python, and kernel launches on a GPU) is left out.
    """
    profiled = _profile_onnxruntime if runtime == 'onnxruntime' else _profile_torch
    times = dict.fromkeys(Kind, 0.0)
    for kind, seconds in profiled(network, x, runs):
        times[kind] += seconds / runs
    return times


def shares(times: dict[Kind, float]) -> dict[Kind, float]:
    """The times as shares of their sum."""
    total = sum(times.values())
    return {kind: seconds / total for kind, seconds in times.items()}


def kinds_of(breakdown: Mapping[str, Mapping[Kind, float]]) -> list[Kind]:
    """The kinds with a nonzero time in any of the networks."""
    return [kind for kind in Kind if any(times.get(kind) for times in breakdown.values())]


def _profile_torch(network: nn.Module, x: Tensor, runs: int) -> list[tuple[Kind, float]]:
    on_gpu = x.device.type == 'cuda'
    call = make_call('torch', network, x)
    for _ in range(3):
        call()
    with profile(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu) as profiler:
        for _ in range(runs):
            call()
    # An operator's own time: on a GPU that of the kernels it launched, on the CPU that without the operators it calls.
    return [
        (
            operation_kind(event.key.removeprefix('aten::')),
            (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e6,
        )
        for event in profiler.key_averages()
        if event.key.startswith('aten::')
    ]


def _profile_onnxruntime(network: nn.Module, x: Tensor, runs: int) -> list[tuple[Kind, float]]:
    kinds = {operator: kind for kind, operators in _ONNX_KINDS.items() for operator in operators}
    with tempfile.TemporaryDirectory() as folder:
        graph = onnx_session(network, x, profile_prefix=str(Path(folder) / 'profile'))
        for _ in range(runs + 3):
            graph.run(None, {'x': x.numpy()})
        events = json.loads(Path(graph.end_profiling()).read_text())
    nodes = [event for event in events if event.get('cat') == 'Node' and event['name'].endswith('_kernel_time')]
    timed = nodes[3 * len(nodes) // (runs + 3) :]  # the first three runs are warm-up
    return [(kinds.get(event['args']['op_name'], Kind.OTHER), event['dur'] / 1e6) for event in timed]
