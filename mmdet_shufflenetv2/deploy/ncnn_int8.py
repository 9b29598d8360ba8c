"""8-bit ncnn files: ncnn's Python package can run but not write them.

A convolution in 8 bits has the parameter ``8=1`` in the ``.param``. In the ``.bin`` it has 8-bit weights, its bias, a
scale for the weights of each output channel, and one for its input. A scale is 127 divided by the largest value.
Depthwise convolutions stay in floating point, because their channels differ too much for one scale of the input.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..utils.errors import UserError

__all__ = ['Layer', 'in_8_bits', 'read_layers', 'write_int8']

#: Tag before weights in a ``.bin`` -> their type.
_TYPES: dict[int, np.dtype[Any]] = {0: np.dtype('<f4'), 0x01306B47: np.dtype('<f2')}
_INT8 = 0x000D4B38
#: Kinds of layers with weights -> ids of their parameters: output channels, whether there is a bias, number of weights.
_WEIGHTED = dict(Convolution='0 5 6', ConvolutionDepthWise='0 5 6', InnerProduct='0 1 2')


class Layer(NamedTuple):
    """A line of a ``.param``."""

    kind: str
    name: str
    #: Names of blobs.
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    #: By id.
    params: dict[str, str]


def read_layers(text: str) -> list[Layer]:
    """The layers of a ``.param`` in the order of execution, which is that of the weights in the ``.bin``."""
    layers = []
    for line in text.splitlines()[2:]:
        kind, name, inputs, outputs, *words = line.split()
        start, end = int(inputs), int(inputs) + int(outputs)
        params = dict(word.split('=', 1) for word in words[end:])
        layers.append(Layer(kind, name, tuple(words[:start]), tuple(words[start:end]), params))
    return layers


def in_8_bits(layers: Sequence[Layer]) -> list[int]:
    """Indices of the convolutions that are not depthwise, not the first, and not the last of a head."""
    fed, followed = set[str](), set[str]()  # blobs after a convolution, and blobs before one
    for layer in layers:
        if layer.kind.startswith('Convolution') or fed.intersection(layer.inputs):
            fed.update(layer.outputs)
    for layer in reversed(layers):
        if layer.kind.startswith('Convolution') or followed.intersection(layer.outputs):
            followed.update(layer.inputs)
    return [
        index
        for index, layer in enumerate(layers)
        if layer.kind == 'Convolution' and layer.inputs[0] in fed and layer.outputs[0] in followed
    ]


def write_int8(path: Path, net: Any, inputs: Iterable[np.ndarray]) -> None:
    """Rewrite a ``.param`` and its ``.bin`` with convolutions in 8 bits.

    Args:
        path: The ``.param``, in single or half precision.
        net: The network as ``ncnn.Net``.
        inputs: Inputs of the network for calibration, ``(3, H, W)``.

    Raises:
        UserError: If another kind of layer has weights.
    """
    text, weights = path.read_text(), path.with_suffix('.bin').read_bytes()
    layers, lines = read_layers(text), text.splitlines()
    chosen = in_8_bits(layers)
    ranges = _ranges(net, {layers[index].inputs[0] for index in chosen}, inputs)
    made, at = [], 0
    for index, layer in enumerate(layers[: max(chosen, default=-1) + 1]):  # the rest is copied
        if layer.kind not in _WEIGHTED:
            continue
        values, bias, end = _read(weights, at, layer)
        if index in chosen:
            made.append(_rounded(values, bias, ranges[layer.inputs[0]]))
            lines[index + 2] += ' 8=1'
        else:
            made.append(weights[at:end])
        at = end
    path.write_text('\n'.join(lines) + '\n')
    path.with_suffix('.bin').write_bytes(b''.join([*made, weights[at:]]))


def _read(weights: bytes, at: int, layer: Layer) -> tuple[np.ndarray, bytes, int]:
    """The layer's weights by output channel, its bias, and the offset of the next layer's weights."""
    channels, has_bias, size = (int(layer.params.get(key, 0)) for key in _WEIGHTED[layer.kind].split())
    dtype = _TYPES.get(int.from_bytes(weights[at : at + 4], 'little'))
    if dtype is None:
        raise UserError(
            f'precision=int8 is not supported for this detector in ncnn: a layer before {layer.name} has weights of '
            f'an unknown format. Export in another precision.'
        )
    start = at + 4
    bias = start + -(-size * dtype.itemsize // 4) * 4
    end = bias + 4 * channels * has_bias
    values: np.ndarray = np.frombuffer(weights[start:bias], dtype)[:size]
    return values.reshape(channels, -1).astype(np.float32), weights[bias:end], end


def _rounded(values: np.ndarray, bias: bytes, largest_input: float) -> bytes:
    """A layer in 8 bits, in the format of a ``.bin``."""
    scales = _scales(np.abs(values).max(axis=1))
    numbers = np.rint(values * scales[:, None]).astype(np.int8).tobytes()
    parts = _INT8.to_bytes(4, 'little'), numbers, bytes(-len(numbers) % 4), bias, scales.tobytes()
    return b''.join(parts) + _scales(np.array([largest_input])).tobytes()


def _ranges(net: Any, blobs: set[str], inputs: Iterable[np.ndarray]) -> dict[str, float]:
    """The largest absolute value in each blob: the mean over the network's inputs."""
    import ncnn

    largest: dict[str, list[float]] = {blob: [] for blob in blobs}
    for x in inputs:
        extractor = net.create_extractor()
        extractor.set_light_mode(False)  # light mode frees blobs
        extractor.input('input', ncnn.Mat(x).clone())
        for blob in blobs:
            largest[blob].append(np.abs(np.array(extractor.extract(blob)[1])).max())
    return {blob: float(np.mean(values)) for blob, values in largest.items()}


def _scales(largest: np.ndarray) -> np.ndarray:
    """Scales for the largest absolute values; 1 if all values are 0."""
    return np.where(largest > 0, 127 / np.maximum(largest, 1e-30), 1).astype('<f4')
