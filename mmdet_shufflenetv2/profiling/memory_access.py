"""Memory access cost and multiply-adds of a network, operation by operation.

The ShuffleNet V2 paper (section 2) counts the elements of a convolution's input, output and weights, which is the
minimum that it has to access. A linear layer is counted as a pointwise convolution. Element-wise operations and copies
access memory with few computations; they are listed separately, since the paper's fourth guideline is about them.
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

__all__ = [
    'Convolution',
    'Kind',
    'Operation',
    'convolution_mac',
    'elements_by_kind',
    'least_mac',
    'operation_kind',
    'trace_operations',
]


class Kind(StrEnum):
    """Kind of an operation, as in figure 2 of the paper."""

    CONVOLUTION = 'convolution'
    #: Linear layers, and the products of attention.
    MATRIX_PRODUCT = 'matrix product'
    #: Activations, sums, and norms: outside training a norm scales and shifts each element.
    ELEMENTWISE = 'element-wise'
    #: Copies, such as concatenation and channel shuffle.
    DATA_MOVEMENT = 'data movement'
    #: Pooling, resizing and all other operations.
    OTHER = 'other'


class Convolution(NamedTuple):
    """Parameters of a convolution in the closed forms of the paper, for a single image."""

    in_channels: int
    out_channels: int
    #: Empty for a linear layer.
    kernel_size: tuple[int, ...]
    groups: int
    #: Positions of the input's and the output's feature map (h * w in the paper); for a linear layer its input vectors.
    in_positions: int
    out_positions: int


class Operation(NamedTuple):
    """One operation of a network and its cost.

    ``layer`` is the name of the module that runs it, empty for the network itself. Elements are counted over the whole
    batch.
    """

    layer: str
    operator: str
    kind: Kind
    multiply_adds: int
    elements_in: int
    elements_out: int
    #: Weights of a convolution or linear layer without its bias, as in the paper; in other operations they are input.
    weights: int = 0
    #: Of a convolution or linear layer; None for a product of two activations, as in attention.
    convolution: Convolution | None = None
    #: Indices of the operations that wrote its inputs; -1 for the network's input.
    sources: tuple[int, ...] = ()

    @property
    def mac(self) -> int:
        """Memory access cost: elements read and written."""
        return self.elements_in + self.elements_out + self.weights


def trace_operations(model: nn.Module, *args: Any, **kwargs: Any) -> list[Operation]:
    """Run ``model(*args, **kwargs)`` once and list its operations in order.

    Views and splits share memory and cost nothing; they are left out.
    """
    weights = {storage_id(parameter) for parameter in model.parameters()}
    with torch.no_grad(), ModuleTracker() as tracker, _Tracer(tracker, _tensors((args, kwargs)), weights) as tracer:
        model(*args, **kwargs)
    return tracer.operations


def elements_by_kind(operations: Iterable[Operation]) -> dict[Kind, int]:
    """Total memory access cost by kind; that of convolutions and linear layers is the paper's MAC."""
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
    return c.in_positions * c.in_channels + c.out_positions * c.out_channels + weights


def least_mac(convolution: Convolution) -> float:
    """Lower bound of the memory access cost of convolutions with the same multiply-adds, groups and positions.

    With B multiply-adds of a pointwise convolution this is ``2 * sqrt(h * w * B) + B / (h * w)`` (section 2, equation
    2), reached at equal channel widths. If a convolution changes the size of the feature map, the sum is lowest when
    both maps have the same number of elements.
    """
    c = convolution
    maps = 2 * math.sqrt(c.in_positions * c.in_channels * c.out_positions * c.out_channels)
    return maps + c.in_channels * c.out_channels * math.prod(c.kernel_size) / c.groups


def operation_kind(operator: str) -> Kind:
    """Kind of an ATen operator by its name, such as ``relu_`` or ``convolution``."""
    if 'conv' in operator:
        return Kind.CONVOLUTION
    if operator in _MATRIX_PRODUCTS or operator.startswith('_scaled_dot_product'):
        return Kind.MATRIX_PRODUCT
    if operator.endswith(('batch_norm', 'layer_norm', 'group_norm', 'softmax')) or 'batch_norm' in operator:
        return Kind.ELEMENTWISE
    if operator.rstrip('_') in _COPIES:  # before the tags: PyTorch tags a copy as pointwise
        return Kind.DATA_MOVEMENT
    return Kind.ELEMENTWISE if operator in _UNTAGGED_ELEMENTWISE or _is_tagged_pointwise(operator) else Kind.OTHER


_MATRIX_PRODUCTS = frozenset({'mm', 'addmm', 'bmm', 'baddbmm', 'matmul', 'linear'})
_COPIES = frozenset(
    {
        'cat',
        'stack',
        'clone',
        'copy',
        '_to_copy',
        'contiguous',
        'constant_pad_nd',
        'index_select',
        'roll',
        'repeat',
        'channel_shuffle',
        'native_channel_shuffle',
        'pixel_shuffle',
        'pixel_unshuffle',
        'fill',
        'zero',
    }
)
_UNTAGGED_ELEMENTWISE = frozenset({'hardswish', 'hardswish_', '_prelu_kernel'})


def _is_tagged_pointwise(operator: str) -> bool:
    packet = getattr(torch.ops.aten, operator, None)
    return packet is not None and any(
        torch.Tag.pointwise in getattr(packet, overload).tags for overload in packet.overloads()
    )


class _Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]  # of PyTorch
    """Records every operator that PyTorch runs."""

    def __init__(self, tracker: ModuleTracker, given: list[Tensor], weights: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # of PyTorch
        self.tracker = tracker
        self.weights = weights
        self.operations: list[Operation] = []
        # Storage -> index of the operation that wrote it last. Views share the storage of their base.
        self.writers = {storage_id(tensor): -1 for tensor in given}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        inputs, outputs = _tensors((args, kwargs)), _tensors(out)
        if not outputs or func.is_view or name in ('_unsafe_view', 'detach'):
            return out
        if inputs and name != 'empty_like':  # a new tensor reads no memory
            self.operations.append(self._operation(func, name, inputs, outputs, args, kwargs))
            self.writers |= {storage_id(tensor): len(self.operations) - 1 for tensor in outputs}
        else:
            for tensor in outputs:  # may reuse the memory of a freed tensor
                self.writers.pop(storage_id(tensor), None)
        return out

    def _operation(
        self,
        func: Any,
        name: str,
        inputs: list[Tensor],
        outputs: list[Tensor],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Operation:
        flops = flop_registry.get(func.overloadpacket)
        out = outputs[0]
        read, weights, convolution = inputs, 0, None
        if name == 'convolution':
            x, weight = inputs[:2]
            convolution = Convolution(
                x.shape[1],
                out.shape[1],
                tuple(weight.shape[2:]),
                args[8],
                math.prod(x.shape[2:]),
                math.prod(out.shape[2:]),
            )
        elif name in ('mm', 'addmm') and storage_id(inputs[-1]) in self.weights:
            x, weight = inputs[-2:]  # after the bias, if any
            convolution = Convolution(weight.shape[0], weight.shape[1], (), 1, len(x), len(x))
        if convolution is not None:
            read, weights, outputs = [x], weight.numel(), [out]
        return Operation(
            self._layer(),
            name,
            operation_kind(name),
            flops(*args, **kwargs, out_val=out) // 2 if flops else 0,
            sum(t.numel() for t in read),
            sum(t.numel() for t in outputs),
            weights,
            convolution,
            tuple(sorted({self.writers[storage_id(t)] for t in inputs if storage_id(t) in self.writers})),
        )

    def _layer(self) -> str:
        # The tracker's current module names start with the network's class and have one more part per level.
        deepest = max(self.tracker.parents - {'Global'}, key=lambda name: name.count('.'), default='')
        return deepest.partition('.')[2]


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
