"""LiteRT (TensorFlow Lite): a channels-last ``.tflite`` with pre- and post-processing in its metadata.

:mod:`..tflite` converts an ONNX graph with the package that also runs the file. Existing converters cannot be installed
with a detector: litert-torch 0.10 needs a PyTorch below 2.15 and 95 packages of 6.6 GB, including JAX and Transformers;
onnx2tf 2.6 fixes the versions of NumPy, ONNX, onnxruntime, OpenCV and 13 more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from ...utils.errors import UserError
from ..fixed_size import surrounded
from ..precision import calibration_images
from ..resizing import Resize
from .target import MADE_BY, Loaded, Program, Target

if TYPE_CHECKING:
    from ...config.options import ExportOptions

__all__ = ['TARGET']


def _export(program: Program, out: Path, options: ExportOptions) -> tuple[float, float] | None:
    import onnx

    from ..priors_network import check_network, surroundings, write_network
    from ..tflite import to_tflite, write_tflite
    from ..tflite_precision import to_half, to_int8

    network, prepare, selection, x, _ = made = surroundings(*program[:3], 'litert')
    with TemporaryDirectory() as folder:
        path = Path(folder, 'network.onnx')
        write_network(network, x, path)
        graph = onnx.load(path)
    model, nodes = to_tflite(graph)

    def checked(precision: str) -> tuple[float, float]:
        interpreter = _interpreter(out, None)
        return check_network(network, lambda one: _run(interpreter, one), x, selection, precision)

    if options.precision == 'int8':
        write_tflite(model, out, {})
        checked('fp32')
        resize = Resize(**json.loads(program.about['resize']))
        images = calibration_images(options.data)
        to_int8(model, nodes, graph.graph, (_nhwc(prepare(resize(image))[0]) for image in images))
    elif options.precision == 'fp16':
        to_half(model)
    write_tflite(model, out, made.about(options.precision))
    return None if options.precision == 'int8' else checked(options.precision)


def _interpreter(path: Path, threads: int | None) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(str(path), num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise UserError(f'{path} cannot be read by LiteRT: {str(error).splitlines()[0]}') from error
    return interpreter


def _nhwc(x: np.ndarray) -> np.ndarray:
    return x.transpose(1, 2, 0)[None]


def _run(interpreter: Any, x: np.ndarray) -> list[np.ndarray]:
    """Boxes, scores and, if there are any, factors."""
    interpreter.set_tensor(interpreter.get_input_details()[0]['index'], _nhwc(x))
    interpreter.invoke()
    found = {one['name']: interpreter.get_tensor(one['index']) for one in interpreter.get_output_details()}
    return [found[name] for name in ('boxes', 'scores', 'factors') if name in found]


def _metadata(path: Path) -> Mapping[str, Any]:
    """The entries that :func:`..tflite.write_tflite` wrote."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(path.read_bytes())
    entries = [model.Metadata(number) for number in range(model.MetadataLength())]
    try:
        return {
            entry.Name().decode(): json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
            for entry in entries
        }
    except (AttributeError, ValueError):  # other programs do not write JSON
        return {}


def _load(path: Path, threads: int | None) -> Loaded:
    interpreter, about = _interpreter(path, threads), _metadata(path)
    if MADE_BY not in about:
        return Loaded(lambda image: (), {})  # the caller reports missing metadata
    return Loaded(*surrounded(about, lambda x, selection: _run(interpreter, x), path))


TARGET = Target(
    'litert',
    ('.tflite',),
    'litert',
    ('onnx', 'onnxruntime', 'ai_edge_litert'),
    ('ai_edge_litert',),
    1,
    _export,
    _load,
    ('fp32', 'fp16', 'int8'),
    oldest=(('ai-edge-litert', '2.1'),),
)
