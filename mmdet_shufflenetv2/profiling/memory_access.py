"""Memory access cost of a network, operation by operation, beside its multiply-adds.

The ShuffleNet V2 paper (section 2) counts what a convolution must touch at least: the elements of its input, of its
output and of its weights. A linear layer is a pointwise convolution and is counted as one. Element-wise operations
and copies touch memory too, but hardly compute; they are listed apart, since its fourth guideline is about them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import flop_registry
from torch.utils.module_tracker import ModuleTracker

from ..compat.private import TorchDispatchMode, storage_id, tree_leaves

__all__ = ['Convolution', 'Kind', 'Operation', 'convolution_mac', 'elements_by_kind', 'least_mac', 'operation_kind',
           'trace_operations']


class Kind(StrEnum):
    """What an operation spends its time on, as in figure 2 of the paper."""

    CONVOLUTION = 'convolution'
    #: Linear layers, and the products of attention.
    MATRIX_PRODUCT = 'matrix product'
    #: Activations, sums, and norms: outside training a norm scales and shifts each element.
    ELEMENTWISE = 'element-wise'
    #: Copies, such as concatenation and channel shuffle.
    DATA_MOVEMENT = 'data movement'
    #: Pooling, resizing and all the rest.
    OTHER = 'other'


class Convolution(NamedTuple):
    """What the closed forms of the paper need to know of a convolution, for a single image."""

    in_channels: int
    out_channels: int
    #: Empty for a linear layer.
    kernel_size: tuple[int, ...]
    groups: int
    #: Places of the input's and of the output's map (h * w in the paper); a linear layer's are the vectors it reads.
    in_places: int
    out_places: int


class Operation(NamedTuple):
    """One operation that a network runs, and what it costs.

    ``layer`` is the name of the module that runs it, empty for the network itself. Elements are plain counts over the
    whole batch.
    """

    layer: str
    operator: str
    kind: Kind
    multiply_adds: int
    elements_in: int
    elements_out: int
    #: Weights of a convolution or linear layer without its bias, as in the paper; for all else they count as input.
    weights: int = 0
    #: Of a convolution or linear layer. A product of two activations, as in attention, has no channels to compare.
    convolution: Convolution | None = None
    #: Which operations before it, by their place in the list, wrote what it reads; -1 stands for the network's input.
    sources: tuple[int, ...] = ()

    @property
    def mac(self) -> int:
        """Memory access cost in elements: read and written."""
        return self.elements_in + self.elements_out + self.weights


def trace_operations(model: nn.Module, *args: Any, **kwargs: Any) -> list[Operation]:
    """Run ``model(*args, **kwargs)`` once and list what it does, in order.

    Operations that only look at the same memory otherwise (views, splits) cost nothing and are left out.
    """
    weights = {storage_id(parameter) for parameter in model.parameters()}
    with torch.no_grad(), ModuleTracker() as tracker, _Tracer(tracker, _tensors((args, kwargs)), weights) as tracer:
        model(*args, **kwargs)
    return tracer.operations


def elements_by_kind(operations: Iterable[Operation]) -> dict[Kind, int]:
    """Memory access cost in sum; that of convolutions and linear layers is the paper's MAC."""
    elements = dict.fromkeys(Kind, 0)
    for operation in operations:
        elements[operation.kind] += operation.mac
    return elements


def convolution_mac(convolution: Convolution) -> int:
    """Closed form of a convolution's memory access cost on one image, in elements.

    For a pointwise convolution on an h x w map this is ``h * w * (c1 + c2) + c1 * c2 / g`` (section 2, G1 and G2).
    """
    c = convolution
    weights = c.in_channels * c.out_channels * math.prod(c.kernel_size) // c.groups
    return c.in_places * c.in_channels + c.out_places * c.out_channels + weights


def least_mac(convolution: Convolution) -> float:
    """Lower bound of the memory access cost among convolutions of as many multiply-adds, groups and places.

    With B multiply-adds of a pointwise convolution this is ``2 * sqrt(h * w * B) + B / (h * w)`` (section 2, equation
    2), reached at equal channel widths. Where a convolution changes the size of its map, the sum of the two maps is
    least where they have equally many elements.
    """
    c = convolution
    maps = 2 * math.sqrt(c.in_places * c.in_channels * c.out_places * c.out_channels)
    return maps + c.in_channels * c.out_channels * math.prod(c.kernel_size) / c.groups


def operation_kind(operator: str) -> Kind:
    """Kind of an ATen operator by its name, such as ``relu_`` or ``convolution``."""
    if 'conv' in operator:
        return Kind.CONVOLUTION
    if operator in _MATRIX_PRODUCTS or operator.startswith('_scaled_dot_product'):
        return Kind.MATRIX_PRODUCT
    if operator.endswith(('batch_norm', 'layer_norm', 'group_norm', 'softmax')) or 'batch_norm' in operator:
        return Kind.ELEMENTWISE
    if operator.rstrip('_') in _COPIES:  # ahead of the tags: PyTorch calls a copy point-wise
        return Kind.DATA_MOVEMENT
    return Kind.ELEMENTWISE if operator in _UNTAGGED_ELEMENTWISE or _is_tagged_pointwise(operator) else Kind.OTHER


_MATRIX_PRODUCTS = frozenset({'mm', 'addmm', 'bmm', 'baddbmm', 'matmul', 'linear'})
_COPIES = frozenset({
    'cat', 'stack', 'clone', 'copy', '_to_copy', 'contiguous', 'constant_pad_nd', 'index_select', 'roll', 'repeat',
    'channel_shuffle', 'native_channel_shuffle', 'pixel_shuffle', 'pixel_unshuffle', 'fill', 'zero',
})
_UNTAGGED_ELEMENTWISE = frozenset({'hardswish', 'hardswish_', '_prelu_kernel'})


def _is_tagged_pointwise(operator: str) -> bool:
    packet = getattr(torch.ops.aten, operator, None)
    return packet is not None and any(
        torch.Tag.pointwise in getattr(packet, overload).tags for overload in packet.overloads())


class _Tracer(TorchDispatchMode):
    """Sees every operator that PyTorch runs."""

    def __init__(self, tracker: ModuleTracker, given: list[Tensor], weights: set[int]) -> None:
        super().__init__()
        self.tracker = tracker
        self.weights = weights
        self.operations: list[Operation] = []
        # Memory -> the operation that wrote it last. Views share the memory of what they view.
        self.writers = {storage_id(tensor): -1 for tensor in given}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        inputs, outputs = _tensors((args, kwargs)), _tensors(out)
        if not outputs or func.is_view or name in ('_unsafe_view', 'detach'):
            return out
        if inputs and name != 'empty_like':  # what makes a tensor out of nothing reads no memory
            self.operations.append(self._operation(func, name, inputs, outputs, args, kwargs))
            self.writers |= {storage_id(tensor): len(self.operations) - 1 for tensor in outputs}
        else:
            for tensor in outputs:  # perhaps at the place of a tensor that is no more
                self.writers.pop(storage_id(tensor), None)
        return out

    def _operation(self, func: Any, name: str, inputs: list[Tensor], outputs: list[Tensor], args: tuple,
                   kwargs: dict) -> Operation:
        flops = flop_registry.get(func.overloadpacket)
        out = outputs[0]
        read, weights, convolution = inputs, 0, None
        if name == 'convolution':
            x, weight = inputs[:2]
            convolution = Convolution(x.shape[1], out.shape[1], tuple(weight.shape[2:]), args[8],
                                      math.prod(x.shape[2:]), math.prod(out.shape[2:]))
        elif name in ('mm', 'addmm') and storage_id(inputs[-1]) in self.weights:
            x, weight = inputs[-2:]  # in front of them may stand the bias
            convolution = Convolution(*weight.shape, (), 1, len(x), len(x))
        if convolution is not None:
            read, weights, outputs = [x], weight.numel(), [out]
        return Operation(
            self._layer(), name, operation_kind(name), flops(*args, **kwargs, out_val=out) // 2 if flops else 0,
            sum(t.numel() for t in read), sum(t.numel() for t in outputs), weights, convolution,
            tuple(sorted({self.writers[storage_id(t)] for t in inputs if storage_id(t) in self.writers})))

    def _layer(self) -> str:
        # The names that the tracker is in begin with the network's class and grow by one part a level.
        deepest = max(self.tracker.parents - {'Global'}, key=lambda name: name.count('.'), default='')
        return deepest.partition('.')[2]


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
