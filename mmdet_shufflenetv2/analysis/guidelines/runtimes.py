"""Running a network: PyTorch as it stands, or ONNX Runtime on the exported graph."""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ...errors import UserError

if TYPE_CHECKING:
    import onnxruntime

__all__ = ['RUNTIMES', 'check_runtime', 'onnx_session', 'prepared']

RUNTIMES = ('torch', 'onnxruntime')


def check_runtime(runtime: str, device: torch.device) -> None:
    """Raise a :class:`UserError` where a runtime is not installed or does not serve the device."""
    if runtime not in RUNTIMES:
        raise UserError(f'There is no runtime {runtime!r}: allowed are {", ".join(RUNTIMES)}.')
    if runtime == 'onnxruntime':
        missing = [name for name in ('onnx', 'onnxruntime') if not _installed(name)]
        if missing:
            raise UserError(f'The runtime onnxruntime needs {" and ".join(missing)}: pip install {" ".join(missing)}.')
        if device.type != 'cpu':
            raise UserError(f'The runtime onnxruntime is timed on the CPU alone, not on {device}: take --device cpu, '
                            f'or --runtime torch.')


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def prepared(runtime: str, network: nn.Module, x: Tensor) -> Callable[[], object]:
    """A call that runs ``network`` on ``x`` in that runtime, on as many threads as PyTorch is set to use."""
    if runtime == 'onnxruntime':
        session = onnx_session(network, x)
        feed = {session.get_inputs()[0].name: x.numpy()}
        return lambda: session.run(None, feed)

    def call() -> object:
        with torch.inference_mode():
            return network(x)

    return call


def onnx_session(network: nn.Module, x: Tensor, profile_prefix: str | None = None) -> onnxruntime.InferenceSession:
    """The network in ONNX Runtime, for inputs of the shape of ``x``.

    Args:
        network: The network.
        x: An input.
        profile_prefix: Where ONNX Runtime's profiler writes; None does not profile.
    """
    import onnxruntime
    graph = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        # The older exporter: the same graph of these plain networks in a tenth of a second rather than five.
        torch.onnx.export(network, (x, ), graph, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # A thread that spins between two networks takes a core away from the other one.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    if profile_prefix:
        options.enable_profiling, options.profile_file_prefix = True, profile_prefix
    return onnxruntime.InferenceSession(graph.getvalue(), options, providers=['CPUExecutionProvider'])
