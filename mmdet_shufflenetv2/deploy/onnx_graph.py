"""Tracing a module into an ONNX file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

__all__ = ['fold_constants', 'write_graph']

OPSET = 17


def write_graph(
    module: nn.Module,
    example: torch.Tensor,
    out: Path,
    inputs: dict[str, dict[int, str]],
    outputs: dict[str, dict[int, str]],
    about: dict[str, str] | None = None,
    parts: Sequence[str] = (),
) -> None:
    """Trace a module into an ONNX file.

    Args:
        module: In eval mode.
        example: Input to trace with.
        out: File to write.
        inputs, outputs: Names of the inputs and outputs, each with the names of its dynamic axes.
        about: Metadata entries.
        parts: Names of the tensors that the module returns after its outputs. They are not outputs of the graph, but
            keep these names in it.
    """
    import onnx  # optional

    with warnings.catch_warnings():
        # PyTorch warns of constants in the trace. They are constant for all images; tests check other sizes.
        warnings.simplefilter('ignore')
        # The TorchScript exporter: the newer one does not support a dynamic number of boxes.
        torch.onnx.export(
            module,
            (example,),
            str(out),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=[*outputs, *parts],
            dynamic_axes=inputs | outputs,
        )
    graph = onnx.load(out)
    for part in list(graph.graph.output)[len(graph.graph.output) - len(parts) :]:
        part.type.tensor_type.ClearField('shape')  # the shape of the example
        graph.graph.value_info.append(part)
        graph.graph.output.remove(part)
    onnx.helper.set_model_props(graph, about or {})
    onnx.save(graph, out)


def fold_constants(path: Path, out: Path) -> None:
    """Write an ONNX file with everything folded that depends only on shapes; no operators of onnxruntime's own."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath, options.log_severity_level = str(out), 3
    onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
