"""A ``.tflite`` model in lower precision: weights in half precision, or a network that computes in 8-bit integers.

8-bit integers follow https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec: weights
are symmetric with one scale per output channel, other tensors have one scale and one zero point. :mod:`.precision`
states what stays in single precision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.tools import flatbuffer_utils

from .precision import layers

__all__ = ['to_half', 'to_int8']

#: Operators with weights -> axis of the output channels in the weights.
_CHANNELS = dict(CONV_2D=0, DEPTHWISE_CONV_2D=3, FULLY_CONNECTED=0)
#: Operators whose output has the scale of their input, because they only move or select values.
_SAME = (
    *('SLICE', 'STRIDED_SLICE', 'GATHER', 'CONCATENATION', 'RESHAPE', 'TRANSPOSE', 'PAD'),
    *('MAX_POOL_2D', 'AVERAGE_POOL_2D', 'RESIZE_BILINEAR', 'RESIZE_NEAREST_NEIGHBOR'),
)
#: Other operators that may compute in 8 bits, between those with weights.
_OTHERS = ('ADD', 'SUB', 'MUL', 'RELU', 'RELU6', 'LEAKY_RELU', 'LOGISTIC', 'MEAN')
#: ONNX operators that are converted to several ones, whose intermediate values need single precision.
_EXACT = ('InstanceNormalization', 'HardSigmoid')
_NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}


class _Scale(NamedTuple):
    """An 8-bit integer ``q`` is the number ``scale * (q - zero)``."""

    scale: float
    zero: int


#: The scale that the format requires for the output of a sigmoid.
_SIGMOID = _Scale(1 / 256, -128)


def to_half(model: Any) -> None:
    """Store weights of convolutions and linear layers in half precision; the runtime converts them when it loads."""
    editor = _Editor(model)
    for operator in editor.take_operators():
        if editor.kind(operator) in _CHANNELS:
            weight = operator.inputs[1]
            editor.store(weight, editor.numbers(weight).astype(np.float16), schema.TensorType.FLOAT16)
            operator.inputs[1] = editor.converted(weight, 'DEQUANTIZE', schema.TensorType.FLOAT32)
        editor.add(operator)


def to_int8(model: Any, nodes: Sequence[str], graph: onnx.GraphProto, inputs: Iterable[np.ndarray]) -> None:
    """Convert the network to 8-bit integers, except the first layers and the last ones of each head.

    Args:
        model: The result of :func:`.tflite.to_tflite` for ``graph``; changed in place.
        nodes: For each operator, the name of its ONNX node.
        graph: The ONNX graph.
        inputs: Inputs of ``model`` for calibration.
    """
    editor = _Editor(model)
    chosen = _chosen(editor, nodes, graph)
    scales = _scales(editor, chosen, _ranges(model, inputs))
    for number, operator in enumerate(editor.take_operators()):
        own = scales[operator.outputs[0]] if number in chosen else None
        kind = editor.kind(operator)
        for position, tensor in enumerate(operator.inputs):
            if editor.is_computed(tensor):
                wanted = scales[tensor] if own and kind not in _SAME else own
                operator.inputs[position] = editor.as_scaled(tensor, wanted)
        if own:
            if kind in _CHANNELS:
                editor.store_weights(_CHANNELS[kind], *operator.inputs)
            editor.set_scale(operator.outputs[0], own)
        editor.add(operator)


def _chosen(editor: _Editor, nodes: Sequence[str], graph: onnx.GraphProto) -> set[int]:
    """Indices of the operators that compute in 8 bits: layers, and supported operators after them."""
    found, kinds = layers(graph), {node.name: node.op_type for node in graph.node}
    inside, chosen, reached = found.weighted - found.first - found.last, set[int](), set[int]()
    for number, (operator, node) in enumerate(zip(editor.operators, nodes)):
        if (kind := editor.kind(operator)) in _CHANNELS:
            fits = node in inside
        else:
            fits = (
                kind in (*_SAME, *_OTHERS)
                and node not in found.selection
                and kinds[node] not in _EXACT
                and not reached.isdisjoint(operator.inputs)
                and not any(editor.is_constant(tensor) for tensor in operator.inputs)
            )
        if fits:
            chosen.add(number)
            reached.update(operator.outputs)
    return chosen


def _ranges(model: Any, inputs: Iterable[np.ndarray]) -> dict[int, tuple[float, float]]:
    """The minimum and maximum of each computed tensor."""
    interpreter = Interpreter(
        model_content=bytes(flatbuffer_utils.convert_object_to_bytearray(model)),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    subgraph = model.subgraphs[0]
    tensors = [*subgraph.inputs, *(operator.outputs[0] for operator in subgraph.operators)]
    ranges = dict.fromkeys(tensors, (0.0, 0.0))
    for x in inputs:
        interpreter.set_tensor(subgraph.inputs[0], x)
        interpreter.invoke()
        for tensor in tensors:
            values, (low, high) = interpreter.get_tensor(tensor), ranges[tensor]
            ranges[tensor] = min(low, float(values.min())), max(high, float(values.max()))
    return ranges


def _scales(editor: _Editor, chosen: set[int], ranges: Mapping[int, tuple[float, float]]) -> dict[int, _Scale]:
    """The scale of each input and output of operators in 8 bits.

    Inputs of a concatenation are converted to the scale of its output. A common scale would extend to complete stages,
    and reduce NanoDet-m's mmAP by 2.
    """
    groups: dict[int, set[int]] = {}
    fixed = set[int]()
    for number, operator in enumerate(editor.operators):
        if number not in chosen:
            continue
        made, kind = operator.outputs[0], editor.kind(operator)
        for tensor in (*filter(editor.is_computed, operator.inputs), made):
            groups.setdefault(tensor, {tensor})
        if kind == 'LOGISTIC':
            fixed.add(made)
        elif kind in _SAME and kind != 'CONCATENATION':
            for tensor in filter(editor.is_computed, operator.inputs):
                if tensor not in fixed and groups[tensor] is not groups[made]:
                    groups[made] |= groups[tensor]
                    groups.update(dict.fromkeys(groups[tensor], groups[made]))
    scales = {}
    for tensor, group in groups.items():
        low, high = (pick(ranges[one][end] for one in group) for end, pick in enumerate((min, max)))
        scale = (high - low) / 255 or 1.0
        scales[tensor] = _SIGMOID if tensor in fixed else _Scale(scale, round(-128 - low / scale))
    return scales


class _Editor:
    """Changes tensors of a model and rebuilds its list of operators."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._subgraph = model.subgraphs[0]
        self._made: dict[tuple[int, Any], int] = {}
        self._scales: dict[int, _Scale] = {}

    @property
    def operators(self) -> list[Any]:
        return self._subgraph.operators

    def take_operators(self) -> list[Any]:
        """Remove and return the model's operators; :meth:`add` adds them again."""
        operators, self._subgraph.operators = self._subgraph.operators, []
        return operators

    def add(self, operator: Any) -> None:
        self._subgraph.operators.append(operator)

    def kind(self, operator: Any) -> str:
        return _NAMES[self._model.operatorCodes[operator.opcodeIndex].builtinCode]

    def is_computed(self, tensor: int) -> bool:
        return self._subgraph.tensors[tensor].buffer == 0

    def is_constant(self, tensor: int) -> bool:
        """Whether a tensor is a constant of numbers, not of sizes or axes."""
        return not self.is_computed(tensor) and self._subgraph.tensors[tensor].type == schema.TensorType.FLOAT32

    def numbers(self, tensor: int) -> np.ndarray:
        """The values of a constant."""
        stored = self._subgraph.tensors[tensor]
        return self._model.buffers[stored.buffer].data.view(np.float32).reshape(stored.shape)

    def store(self, tensor: int, numbers: np.ndarray, kind: int) -> None:
        stored = self._subgraph.tensors[tensor]
        stored.type, buffer = kind, self._model.buffers[stored.buffer]
        buffer.data = np.frombuffer(numbers.tobytes(), np.uint8)

    def store_weights(self, axis: int, x: int, weight: int, bias: int) -> None:
        """Store weights in 8 bits, and biases in 32 bits like the operator's sums of products."""
        numbers, biases = self.numbers(weight), self.numbers(bias)
        others = tuple(other for other in range(numbers.ndim) if other != axis)
        scale_in = self._scales[x].scale
        largest = np.abs(numbers).max(axis=others)
        largest = np.where(largest > 0, largest, largest.max() or 1.0)
        # Where the weights of a channel are all but zero, its bias would be too large for 32 bits.
        scales = np.maximum(largest / 127, np.abs(biases) / (scale_in * 2.0**30))
        shape = [-1 if one == axis else 1 for one in range(numbers.ndim)]
        self.store(weight, np.rint(numbers / scales.reshape(shape)).astype(np.int8), schema.TensorType.INT8)
        self.store(bias, np.rint(biases / (scale_in * scales)).astype(np.int32), schema.TensorType.INT32)
        self._quantize(weight, scales, axis)
        self._quantize(bias, scale_in * scales, 0)

    def set_scale(self, tensor: int, scale: _Scale) -> None:
        """Make a computed tensor 8-bit integers."""
        self._subgraph.tensors[tensor].type = schema.TensorType.INT8
        self._scales[tensor] = scale
        self._quantize(tensor, [scale.scale], 0, [scale.zero])

    def _quantize(self, tensor: int, scales: Sequence[float] | np.ndarray, axis: int, zeros: Any = None) -> None:
        made = schema.QuantizationParametersT()
        made.scale, made.zeroPoint = list(map(float, scales)), zeros or [0] * len(scales)
        made.quantizedDimension = axis
        self._subgraph.tensors[tensor].quantization = made

    def as_scaled(self, tensor: int, scale: _Scale | None) -> int:
        """A tensor in 8 bits with this scale, or in single precision if it is None."""
        if self._scales.get(tensor) == scale:
            return tensor
        if (tensor, scale) not in self._made:
            made = self.converted(
                tensor,
                'QUANTIZE' if scale else 'DEQUANTIZE',
                schema.TensorType.INT8 if scale else schema.TensorType.FLOAT32,
            )
            if scale:
                self.set_scale(made, scale)
            self._made[tensor, scale] = made
        return self._made[tensor, scale]

    def converted(self, tensor: int, kind: str, into: int) -> int:
        """Add an operator of this kind with one input, and return its output."""
        code, made, before = schema.OperatorCodeT(), schema.TensorT(), self._subgraph.tensors[tensor]
        number = getattr(schema.BuiltinOperator, kind)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, number, 1
        known = [one.builtinCode for one in self._model.operatorCodes]
        if number not in known:
            known.append(number)
            self._model.operatorCodes.append(code)
        made.shape, made.type, made.buffer, made.hasRank = before.shape, into, 0, True
        made.name = f't{len(self._subgraph.tensors)}'
        self._subgraph.tensors.append(made)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs = known.index(number), [tensor]
        operator.outputs = [len(self._subgraph.tensors) - 1]
        self.add(operator)
        return operator.outputs[0]
