"""Conversion of an ONNX graph with a fixed input size to a channels-last ``.tflite`` file.

A change of layout copies no data. Each value stores the order of its axes relative to its ONNX value (:class:`_Value`),
so that ``Transpose`` only changes this order. Feature maps are ``(N, H, W, C)`` from the input to the last convolution.
The file has a ``TRANSPOSE`` only for operators that need another order.

Supported are the operators of one-stage detectors without NMS. The schema of the format is part of ``ai-edge-litert``
(https://github.com/google-ai-edge/LiteRT, ``tflite/converter/schema/schema.fbs``).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from ..utils.errors import UserError
from .fixed_size import WITH_NMS

__all__ = ['to_tflite', 'write_tflite']

#: Order in which the axes of a feature map are stored: batch, height, width, channels.
_NHWC = (0, 2, 3, 1)
_NONE, _RELU, _RELU6 = (getattr(schema.ActivationFunctionType, name) for name in ('NONE', 'RELU', 'RELU6'))
_TYPES = {
    np.dtype(kind): getattr(schema.TensorType, name)
    for kind, name in (('float32', 'FLOAT32'), ('int32', 'INT32'), ('int64', 'INT64'), ('bool', 'BOOL'))
}


class _Value(NamedTuple):
    """The tensor of a value of the ONNX graph."""

    #: Index of the tensor in the file.
    tensor: int
    #: Axis of the ONNX value for each axis of the tensor.
    order: tuple[int, ...]


def to_tflite(graph: onnx.ModelProto) -> tuple[Any, list[str]]:
    """The ``ModelT`` of a graph, and for each of its operators the name of its ONNX node.

    Args:
        graph: Without dynamic axes, with folded constants. Inputs ``(N, C, H, W)`` are channels-last in the file;
            outputs have the axes of the ONNX graph.

    Raises:
        UserError: If it has an operator, or an attribute of one, that is not supported.
    """
    writer = _Writer(graph)
    return writer.model(), writer.nodes


def write_tflite(model: Any, path: Path, about: Mapping[str, Any]) -> None:
    """Write a ``ModelT``, with the items of ``about`` as metadata entries in JSON."""
    model.metadata = model.metadata or []
    for name, value in about.items():
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(model.buffers)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(json.dumps(value).encode(), np.uint8)
        model.buffers.append(buffer)
        model.metadata.append(entry)
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))


class _Writer:
    """Converts the operators of a graph one by one."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        self._graph = onnx.shape_inference.infer_shapes(graph, strict_mode=True).graph
        infos = (*self._graph.input, *self._graph.value_info, *self._graph.output)
        self.shapes = {info.name: tuple(one.dim_value for one in info.type.tensor_type.shape.dim) for info in infos}
        self.constants = {one.name: onnx.numpy_helper.to_array(one) for one in self._graph.initializer}
        self.uses = Counter(name for node in self._graph.node for name in node.input)
        self.uses.update(info.name for info in self._graph.output)
        self.values: dict[str, _Value] = {}
        self._moved: dict[tuple[int, tuple[int, ...]], int] = {}
        self._stored: dict[int, tuple[int, ...]] = {}
        self._codes: dict[int, int] = {}
        #: Tensor -> the operator that computes it.
        self.makers: dict[int, Any] = {}
        #: For each operator, the name of its node.
        self.nodes: list[str] = []
        self._node = ''
        self._subgraph = schema.SubGraphT()
        self._subgraph.name, self._subgraph.tensors, self._subgraph.operators = 'main', [], []
        self._buffers = [schema.BufferT()]  # an empty buffer, for all computed tensors

    def model(self) -> Any:
        """The complete ``ModelT``."""
        for info in self._graph.input:
            shape = self.shapes[info.name]
            order = _NHWC if len(shape) == 4 else tuple(range(len(shape)))
            self.values[info.name] = _Value(self._tensor([shape[axis] for axis in order], name=info.name), order)
        self._subgraph.inputs = [self.values[info.name].tensor for info in self._graph.input]
        if missing := sorted({node.op_type for node in self._graph.node} - set(_OPERATORS)):
            raise UserError(f'target=litert does not support {", ".join(missing)} of this detector. {WITH_NMS}')
        for node in self._graph.node:
            self._node = node.name
            _OPERATORS[node.op_type](self, _Node(node, self))
        self._subgraph.outputs = [self.natural(info.name) for info in self._graph.output]
        for info, tensor in zip(self._graph.output, self._subgraph.outputs):
            self._subgraph.tensors[tensor].name = info.name
        model = schema.ModelT()
        model.version, model.description = 3, 'mmdet_shufflenetv2'
        model.subgraphs, model.buffers, model.signatureDefs = [self._subgraph], self._buffers, [self._signature()]
        model.operatorCodes = []
        for kind in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, min(kind, 127), 1
            model.operatorCodes.append(code)
        return model

    def _signature(self) -> Any:
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = 'serving_default', 0
        for kind in ('inputs', 'outputs'):
            entries = []
            for tensor in getattr(self._subgraph, kind):
                entry = schema.TensorMapT()
                entry.name, entry.tensorIndex = self._subgraph.tensors[tensor].name, tensor
                entries.append(entry)
            setattr(signature, kind, entries)
        return signature

    def _tensor(self, shape: Sequence[int], dtype: Any = np.float32, buffer: int = 0, name: str | None = None) -> int:
        tensor, index = schema.TensorT(), len(self._subgraph.tensors)
        tensor.shape, tensor.type, tensor.buffer = list(map(int, shape)), _TYPES[np.dtype(dtype)], buffer
        tensor.name, tensor.hasRank = name or f't{index}', True
        self._subgraph.tensors.append(tensor)
        self._stored[index] = tuple(tensor.shape)
        return index

    def constant(self, array: Any, dtype: Any = np.float32) -> int:
        """Add a constant tensor."""
        array = np.ascontiguousarray(np.asarray(array, dtype))
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self._buffers.append(buffer)
        return self._tensor(array.shape, dtype, len(self._buffers) - 1)

    def shape(self, tensor: int) -> tuple[int, ...]:
        """The shape of a tensor of the file."""
        return self._stored[tensor]

    def emit(
        self, kind: str, inputs: Sequence[int], shape: Sequence[int], options: str | None = None, **fields: Any
    ) -> int:
        """Add an operator with one output of this shape, and return the output.

        ``fields`` are the fields of the schema's type ``options``.
        """
        number = getattr(schema.BuiltinOperator, kind)
        operator, made = schema.OperatorT(), self._tensor(shape)
        operator.opcodeIndex = self._codes.setdefault(number, len(self._codes))
        operator.inputs, operator.outputs = list(inputs), [made]
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f'{options}T')(**fields)
        self._subgraph.operators.append(operator)
        self.nodes.append(self._node)
        self.makers[made] = operator
        return made

    def put(self, name: str, tensor: int, order: Sequence[int]) -> None:
        """Set the tensor of a value of the graph."""
        self.values[name] = _Value(tensor, tuple(order))

    def value(self, name: str) -> _Value:
        """A value, which may be a constant, in its stored order."""
        if name not in self.values:
            array = self.constants[name]
            self.put(name, self.constant(array), range(array.ndim))
        return self.values[name]

    def natural(self, name: str) -> int:
        """The tensor of a value, with its axes in the order of the ONNX graph."""
        return self.ordered(
            name,
            range(
                len(self.shapes.get(name, ()) or self.constants[name].shape)
                if name not in self.values
                else len(self.values[name].order)
            ),
        )

    def ordered(self, name: str, order: Sequence[int]) -> int:
        """The tensor of a value, with its axes in this order."""
        order = tuple(order)
        if name in self.constants:
            return self.constant(self.constants[name].transpose(order))
        value = self.value(name)
        if value.order == order:
            return value.tensor
        key = (value.tensor, tuple(value.order.index(axis) for axis in order))
        if key not in self._moved:
            self._moved[key] = self.transposed(*key)
        return self._moved[key]

    def transposed(self, tensor: int, axes: tuple[int, ...]) -> int:
        """Transpose a tensor; if only axes of length 1 move, this is a reshape."""
        shape = self.shape(tensor)
        new = [shape[axis] for axis in axes]
        long = [axis for axis in axes if shape[axis] != 1]
        if long == sorted(long):
            return self.reshaped(tensor, new)
        return self.emit('TRANSPOSE', [tensor, self.constant(axes, np.int32)], new, 'TransposeOptions')

    def reshaped(self, tensor: int, shape: Sequence[int]) -> int:
        """Reshape a tensor."""
        if tuple(shape) == self.shape(tensor):
            return tensor
        return self.emit(
            'RESHAPE', [tensor, self.constant(shape, np.int32)], shape, 'ReshapeOptions', newShape=list(map(int, shape))
        )


class _Node:
    """An operator of the ONNX graph."""

    def __init__(self, node: onnx.NodeProto, writer: _Writer) -> None:
        self._writer = writer
        self.kind, self.inputs, self.outputs = node.op_type, list(node.input), list(node.output)
        self.attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}

    def get(self, name: str, default: Any = None) -> Any:
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def shape(self, number: int = 0) -> tuple[int, ...]:
        """Shape of an input."""
        name = self.inputs[number]
        return self._writer.constants[name].shape if name in self._writer.constants else self._writer.shapes[name]

    def out_shape(self, number: int = 0) -> tuple[int, ...]:
        return self._writer.shapes[self.outputs[number]]

    def constant(self, number: int, default: Any = None) -> Any:
        """A constant input; :meth:`refuse` if it is computed."""
        if number >= len(self.inputs) or not self.inputs[number]:
            return default
        if self.inputs[number] not in self._writer.constants:
            self.refuse(f'input {number} that is computed')
        return self._writer.constants[self.inputs[number]]

    def refuse(self, what: str) -> NoReturn:
        raise UserError(f'target=litert does not support {self.kind} with {what}, as in this detector. {WITH_NMS}')


def _nhwc(shape: Sequence[int]) -> list[int]:
    return [shape[axis] for axis in _NHWC]


def _padded(writer: _Writer, node: _Node, tensor: int, kernel: Sequence[int], fill: float) -> tuple[int, int]:
    """The input of a convolution or pooling, padded if the format lacks its padding; and the format's padding."""
    strides, dilations = node.get('strides', [1, 1]), node.get('dilations', [1, 1])
    if node.get('auto_pad', 'NOTSET') != 'NOTSET' or node.get('ceil_mode', 0):
        node.refuse('auto_pad or ceil_mode')
    pads, shape = node.get('pads', [0] * 4), node.shape()
    same, before = True, []
    for axis in (0, 1):
        side, reach = shape[axis + 2], (kernel[axis] - 1) * dilations[axis] + 1
        total = max((-(-side // strides[axis]) - 1) * strides[axis] + reach - side, 0)
        out = (side + pads[axis] + pads[axis + 2] - reach) // strides[axis] + 1
        # Cells after the last window are not read.
        needed = max((out - 1) * strides[axis] + reach - side - pads[axis], 0)
        same &= out == -(-side // strides[axis]) and pads[axis] == total // 2
        before.append((pads[axis], needed))
    if same:
        return tensor, schema.Padding.SAME
    if any(map(any, before)):
        edges = writer.constant([(0, 0), *before, (0, 0)], np.int32)
        stored = writer.shape(tensor)
        new = [stored[0], *(side + sum(edge) for side, edge in zip(stored[1:3], before)), stored[3]]
        tensor = (
            writer.emit('PAD', [tensor, edges], new, 'PadOptions')
            if fill == 0
            else writer.emit('PADV2', [tensor, edges, writer.constant([fill])], new, 'PadV2Options')
        )
    return tensor, schema.Padding.VALID


def _conv(writer: _Writer, node: _Node) -> None:
    weight, groups = node.constant(1), node.get('group', 1)
    x, padding = _padded(writer, node, writer.ordered(node.inputs[0], _NHWC), weight.shape[2:], 0.0)
    depthwise = groups == node.shape()[1] and groups > 1
    weight = weight.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
    inputs = [x, writer.constant(weight), writer.constant(node.constant(2, np.zeros(node.out_shape()[1])))]
    strides, dilations = node.get('strides', [1, 1]), node.get('dilations', [1, 1])
    fields = dict(
        padding=padding,
        strideH=strides[0],
        strideW=strides[1],
        dilationHFactor=dilations[0],
        dilationWFactor=dilations[1],
    )
    if depthwise:
        made = writer.emit(
            'DEPTHWISE_CONV_2D',
            inputs,
            _nhwc(node.out_shape()),
            'DepthwiseConv2DOptions',
            depthMultiplier=weight.shape[3] // groups,
            **fields,
        )
    else:
        made = writer.emit('CONV_2D', inputs, _nhwc(node.out_shape()), 'Conv2DOptions', **fields)
    writer.put(node.outputs[0], made, _NHWC)


def _pool(writer: _Writer, node: _Node) -> None:
    kernel, most = node.get('kernel_shape'), node.kind == 'MaxPool'
    x, padding = _padded(writer, node, writer.ordered(node.inputs[0], _NHWC), kernel, -1e30 if most else 0.0)
    # The format's averages exclude its own padding, but include cells padded here.
    if (
        not most
        and any(node.get('pads', [0]))
        and bool(node.get('count_include_pad', 0)) == (padding == schema.Padding.SAME)
    ):
        node.refuse('these pads')
    strides = node.get('strides', [1, 1])
    made = writer.emit(
        'MAX_POOL_2D' if most else 'AVERAGE_POOL_2D',
        [x],
        _nhwc(node.out_shape()),
        'Pool2DOptions',
        padding=padding,
        strideH=strides[0],
        strideW=strides[1],
        filterHeight=kernel[0],
        filterWidth=kernel[1],
    )
    writer.put(node.outputs[0], made, _NHWC)


def _resize(writer: _Writer, node: _Node) -> None:
    how = (node.get('mode', 'nearest'), node.get('coordinate_transformation_mode', 'half_pixel'))
    scales = node.constant(2, np.array(()))
    if scales.size and (scales * node.shape() != node.out_shape()).any():  # the format only has sizes, no scales
        node.refuse('a fraction of a pixel cut off')
    size = writer.constant(node.out_shape()[2:], np.int32)
    inputs = [writer.ordered(node.inputs[0], _NHWC), size]
    if how[0] == 'linear' and how[1] in ('half_pixel', 'pytorch_half_pixel', 'align_corners'):
        made = writer.emit(
            'RESIZE_BILINEAR',
            inputs,
            _nhwc(node.out_shape()),
            'ResizeBilinearOptions',
            alignCorners=how[1] == 'align_corners',
            halfPixelCenters=how[1] != 'align_corners',
        )
    elif how == ('nearest', 'asymmetric') and node.get('nearest_mode', 'round_prefer_floor') == 'floor':
        made = writer.emit('RESIZE_NEAREST_NEIGHBOR', inputs, _nhwc(node.out_shape()), 'ResizeNearestNeighborOptions')
    else:
        node.refuse(' '.join(how))
    writer.put(node.outputs[0], made, _NHWC)


def _unary(kind: str, options: str | None = None) -> Callable[[_Writer, _Node], None]:
    def write(writer: _Writer, node: _Node) -> None:
        value = writer.value(node.inputs[0])
        fields = dict(alpha=node.get('alpha', 0.01)) if kind == 'LEAKY_RELU' else {}
        made = writer.emit(kind, [value.tensor], writer.shape(value.tensor), options, **fields)
        writer.put(node.outputs[0], made, value.order)

    return write


def _activation(writer: _Writer, node: _Node) -> None:
    """ReLU and Clip, fused into the previous operator if its output is not used elsewhere."""
    low: float | None
    high: float | None
    low, high = (
        (0.0, None)
        if node.kind == 'Relu'
        else (None if bound is None else float(bound) for bound in (node.constant(1), node.constant(2)))
    )
    value = writer.value(node.inputs[0])
    known: dict[tuple[float | None, float | None], int] = {(0.0, None): _RELU, (0.0, 6.0): _RELU6}
    fused = known.get((low, high))
    maker: Any = writer.makers.get(value.tensor)
    if (
        fused is not None
        and writer.uses[node.inputs[0]] == 1
        and getattr(maker and maker.builtinOptions, 'fusedActivationFunction', None) == _NONE
    ):
        maker.builtinOptions.fusedActivationFunction = fused
        return writer.put(node.outputs[0], value.tensor, value.order)
    tensor = value.tensor
    shape = writer.shape(tensor)
    if fused is not None:
        tensor = writer.emit({_RELU: 'RELU', _RELU6: 'RELU6'}[fused], [tensor], shape)
    else:
        for kind, bound in (('MAXIMUM', low), ('MINIMUM', high)):
            if bound is not None:
                tensor = writer.emit(kind, [tensor, writer.constant([bound])], shape, 'MaximumMinimumOptions')
    writer.put(node.outputs[0], tensor, value.order)


def _hard_sigmoid(writer: _Writer, node: _Node) -> None:
    value = writer.value(node.inputs[0])
    shape = writer.shape(value.tensor)
    tensor = writer.emit('MUL', [value.tensor, writer.constant([node.get('alpha', 0.2)])], shape, 'MulOptions')
    tensor = writer.emit('ADD', [tensor, writer.constant([node.get('beta', 0.5)])], shape, 'AddOptions')
    writer.put(node.outputs[0], writer.emit('RELU_0_TO_1', [tensor], shape), value.order)


def _binary(kind: str, options: str) -> Callable[[_Writer, _Node], None]:
    def write(writer: _Writer, node: _Node) -> None:
        shape = node.out_shape()
        # The result has the order of the largest operand.
        values = [writer.values[name] for name in node.inputs if name in writer.values]
        order = max(values, key=lambda value: math.prod(writer.shape(value.tensor))).order
        order = order if len(order) == len(shape) else tuple(range(len(shape)))
        inputs = [_broadcast(writer, name, order) for name in node.inputs]
        writer.put(node.outputs[0], writer.emit(kind, inputs, [shape[axis] for axis in order], options), order)

    return write


def _broadcast(writer: _Writer, name: str, order: tuple[int, ...]) -> int:
    """The tensor of an operand with the rank and order of the result; a single number has one axis."""
    if name in writer.constants:
        array = writer.constants[name]
        if array.size == 1:
            return writer.constant(array.reshape(1))
        return writer.constant(array.reshape([1] * (len(order) - array.ndim) + list(array.shape)).transpose(order))
    if len(writer.value(name).order) == len(order):
        return writer.ordered(name, order)
    tensor = writer.natural(name)
    shape = [1] * (len(order) - len(writer.shape(tensor))) + list(writer.shape(tensor))
    return writer.transposed(writer.reshaped(tensor, shape), order)


def _transpose(writer: _Writer, node: _Node) -> None:
    value = writer.value(node.inputs[0])
    axes = node.get('perm', list(range(len(value.order)))[::-1])
    writer.put(node.outputs[0], value.tensor, [axes.index(axis) for axis in value.order])


def _reshape(writer: _Writer, node: _Node) -> None:
    """Reshape, Flatten, Squeeze and Unsqueeze: merged or split axes keep their stored position.

    Data are only moved if axes to merge are not adjacent in the stored order. Axes of length 1 may be anywhere.
    """
    value, before, after = writer.value(node.inputs[0]), node.shape(), node.out_shape()
    groups = _groups(before, after)
    stored = [axis for axis in value.order if before[axis] != 1]
    groups.sort(key=lambda group: stored.index(group[0][0]))
    wanted = [axis for joined, _ in groups for axis in joined]
    tensor = value.tensor
    if stored != wanted:
        ones = [axis for axis in value.order if before[axis] == 1]
        tensor = writer.ordered(node.inputs[0], ones + wanted)
    order = [axis for _, split in groups for axis in split]
    for axis, length in enumerate(after):
        if length == 1:
            order.insert(min(axis, len(order)), axis)
    writer.put(node.outputs[0], writer.reshaped(tensor, [after[axis] for axis in order]), order)


def _groups(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Groups of axes that are merged or split into each other, without those of length 1."""
    left, right = ([axis for axis, length in enumerate(shape) if length != 1] for shape in (before, after))
    groups = []
    while left:
        group = ([left.pop(0)], [right.pop(0)])
        while (one := math.prod(before[axis] for axis in group[0])) != (
            other := math.prod(after[axis] for axis in group[1])
        ):
            group[one > other].append((right if one > other else left).pop(0))
        groups.append(group)
    return groups


def _concat(writer: _Writer, node: _Node) -> None:
    first = next((name for name in node.inputs if name in writer.values), node.inputs[0])
    order, shape = writer.value(first).order, node.out_shape()
    axis = order.index(node.get('axis') % len(shape))
    tensor = writer.emit(
        'CONCATENATION',
        [writer.ordered(name, order) for name in node.inputs],
        [shape[one] for one in order],
        'ConcatenationOptions',
        axis=axis,
    )
    writer.put(node.outputs[0], tensor, order)


def _cut(writer: _Writer, value: _Value, axis: int, start: int, length: int, step: int = 1) -> int:
    stored, shape = value.order.index(axis), list(writer.shape(value.tensor))
    begin, end, steps = [0] * len(shape), list(shape), [1] * len(shape)
    begin[stored], end[stored], steps[stored], shape[stored] = start, start + length, step, -(-length // step)
    if step == 1:
        return writer.emit(
            'SLICE', [value.tensor, *(writer.constant(one, np.int32) for one in (begin, shape))], shape, 'SliceOptions'
        )
    return writer.emit(
        'STRIDED_SLICE',
        [value.tensor, *(writer.constant(one, np.int32) for one in (begin, end, steps))],
        shape,
        'StridedSliceOptions',
    )


def _split(writer: _Writer, node: _Node) -> None:
    value, axis, start = writer.value(node.inputs[0]), node.get('axis', 0) % len(node.shape()), 0
    for number, name in enumerate(node.outputs):
        length = node.out_shape(number)[axis]
        writer.put(name, _cut(writer, value, axis, start, length), value.order)
        start += length


def _slice(writer: _Writer, node: _Node) -> None:
    value, shape = writer.value(node.inputs[0]), node.shape()
    starts, stops = node.constant(1), node.constant(2)
    axes, steps = node.constant(3, range(len(starts))), node.constant(4, [1] * len(starts))
    if min(steps) < 1:
        node.refuse('steps backwards')
    for axis, start, stop, step in zip(axes, starts, stops, steps):
        side = shape[axis]
        first, last = (min(max(int(one) + (side if one < 0 else 0), 0), side) for one in (start, stop))
        if (first, last, step) != (0, side, 1):
            value = _Value(_cut(writer, value, int(axis) % len(shape), first, last - first, int(step)), value.order)
    writer.put(node.outputs[0], *value)


def _gather(writer: _Writer, node: _Node) -> None:
    value, axis, index = writer.value(node.inputs[0]), node.get('axis', 0) % len(node.shape()), node.constant(1)
    side = node.shape()[axis]
    index = np.where(index < 0, index + side, index)
    if index.ndim > 1:
        node.refuse('indices of several axes')
    if index.ndim == 1:
        stored, shape = value.order.index(axis), list(writer.shape(value.tensor))
        shape[stored] = len(index)
        tensor = writer.emit(
            'GATHER', [value.tensor, writer.constant(index, np.int32)], shape, 'GatherOptions', axis=stored
        )
        return writer.put(node.outputs[0], tensor, value.order)
    tensor = _cut(writer, value, axis, int(index), 1)
    order = [one - (one > axis) for one in value.order if one != axis]
    writer.put(node.outputs[0], writer.reshaped(tensor, [node.out_shape()[one] for one in order]), order)


def _softmax(writer: _Writer, node: _Node) -> None:
    value = writer.value(node.inputs[0])
    axis = node.get('axis', -1) % len(value.order)
    order = [*(one for one in value.order if one != axis), axis]
    tensor = writer.ordered(node.inputs[0], order)
    writer.put(
        node.outputs[0], writer.emit('SOFTMAX', [tensor], writer.shape(tensor), 'SoftmaxOptions', beta=1.0), order
    )


def _matmul(writer: _Writer, node: _Node) -> None:
    weight = node.constant(1)
    if weight.ndim != 2 or node.get('transA', 0) or {node.get('alpha', 1.0), node.get('beta', 1.0)} != {1.0}:
        node.refuse('other factors than one array and one matrix of weights')
    weight = weight if node.get('transB', 0) else weight.T
    bias = node.constant(2, np.zeros(len(weight)))
    inputs = [
        writer.natural(node.inputs[0]),
        writer.constant(weight),
        writer.constant(np.broadcast_to(bias, (len(weight),))),
    ]
    tensor = writer.emit('FULLY_CONNECTED', inputs, node.out_shape(), 'FullyConnectedOptions', keepNumDims=True)
    writer.put(node.outputs[0], tensor, range(len(node.out_shape())))


def _reduce(kind: str) -> Callable[[_Writer, _Node], None]:
    def write(writer: _Writer, node: _Node) -> None:
        value, rank = writer.value(node.inputs[0]), len(node.shape())
        axes = (2, 3) if node.kind == 'GlobalAveragePool' else node.get('axes', node.constant(1))
        axes = {int(axis) % rank for axis in (range(rank) if axes is None else axes)}
        keep = bool(node.get('keepdims', 1))
        stored_axes = sorted(value.order.index(axis) for axis in axes)
        left = [axis for axis in range(rank) if keep or axis not in axes]
        order = [left.index(axis) for axis in value.order if axis in left]
        tensor = writer.emit(
            kind,
            [value.tensor, writer.constant(stored_axes, np.int32)],
            [node.out_shape()[axis] for axis in order],
            'ReducerOptions',
            keepDims=keep,
        )
        writer.put(node.outputs[0], tensor, order)

    return write


def _instance_norm(writer: _Writer, node: _Node) -> None:
    """Instance norm, and group norm, which ONNX expresses as instance norm of a reshaped array."""
    value = writer.value(node.inputs[0])
    stored_axes = writer.constant([stored for stored, axis in enumerate(value.order) if axis > 1], np.int32)
    shape = writer.shape(value.tensor)
    few = [1 if axis > 1 else side for axis, side in zip(value.order, shape)]

    def mean(tensor: int) -> int:
        return writer.emit('MEAN', [tensor, stored_axes], few, 'ReducerOptions', keepDims=True)

    centered = writer.emit('SUB', [value.tensor, mean(value.tensor)], shape, 'SubOptions')
    variance = mean(writer.emit('MUL', [centered, centered], shape, 'MulOptions'))
    variance = writer.emit('ADD', [variance, writer.constant([node.get('epsilon', 1e-5)])], few, 'AddOptions')
    tensor = writer.emit('MUL', [centered, writer.emit('RSQRT', [variance], few)], shape, 'MulOptions')
    channels = [side if axis == 1 else 1 for axis, side in zip(value.order, shape)]
    for number, kind, nothing in ((1, 'MUL', 1), (2, 'ADD', 0)):
        if (array := node.constant(number)).size and (array != nothing).any():
            tensor = writer.emit(
                kind, [tensor, writer.constant(array.reshape(channels))], shape, f'{kind.capitalize()}Options'
            )
    writer.put(node.outputs[0], tensor, value.order)


def _same(writer: _Writer, node: _Node) -> None:
    writer.put(node.outputs[0], *writer.value(node.inputs[0]))


_OPERATORS: dict[str, Callable[[_Writer, _Node], None]] = {
    'Conv': _conv,
    'MaxPool': _pool,
    'AveragePool': _pool,
    'Resize': _resize,
    'Relu': _activation,
    'Clip': _activation,
    'HardSigmoid': _hard_sigmoid,
    'LeakyRelu': _unary('LEAKY_RELU', 'LeakyReluOptions'),
    'Sigmoid': _unary('LOGISTIC'),
    'Tanh': _unary('TANH'),
    'HardSwish': _unary('HARD_SWISH', 'HardSwishOptions'),
    'Exp': _unary('EXP', 'ExpOptions'),
    'Sqrt': _unary('SQRT'),
    'Floor': _unary('FLOOR'),
    'Neg': _unary('NEG', 'NegOptions'),
    'Add': _binary('ADD', 'AddOptions'),
    'Sub': _binary('SUB', 'SubOptions'),
    'Mul': _binary('MUL', 'MulOptions'),
    'Div': _binary('DIV', 'DivOptions'),
    'Max': _binary('MAXIMUM', 'MaximumMinimumOptions'),
    'Min': _binary('MINIMUM', 'MaximumMinimumOptions'),
    'Pow': _binary('POW', 'PowOptions'),
    'Transpose': _transpose,
    'Reshape': _reshape,
    'Flatten': _reshape,
    'Squeeze': _reshape,
    'Unsqueeze': _reshape,
    'Concat': _concat,
    'Split': _split,
    'Slice': _slice,
    'Gather': _gather,
    'Softmax': _softmax,
    'InstanceNormalization': _instance_norm,
    'MatMul': _matmul,
    'Gemm': _matmul,
    'GlobalAveragePool': _reduce('MEAN'),
    'ReduceMean': _reduce('MEAN'),
    'ReduceSum': _reduce('SUM'),
    'ReduceMax': _reduce('REDUCE_MAX'),
    'Identity': _same,
}
