"""Finding the layers and blocks of a network that violate one of the four guidelines, and their cost."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from ...profiling.memory_access import Convolution, Kind, Operation, convolution_mac, least_mac
from .latency import LatencyModel, is_depthwise

__all__ = ['Block', 'Violation', 'blocks', 'find_violations']


class Violation(NamedTuple):
    """One violation of a guideline."""

    layer: str
    #: ``G1`` to ``G4``.
    guideline: str
    what: str
    #: Elements read and written in excess of the guideline.
    elements: float
    #: Their cost on this machine, from the latency model.
    seconds: float


def find_violations(operations: Sequence[Operation], model: LatencyModel) -> list[Violation]:
    """All violations of a network on one image: first those of its layers in order, then the fragmented blocks.

    - G1: a convolution or linear layer with unequal channel widths. Its cost is the memory access cost above the lower
      bound.
    - G2: a group convolution. Its cost is the memory access cost above that of a dense convolution with the same
      multiply-adds and input channels.
    - G3: a block with parallel convolutions. Its cost is the fixed cost of an operation for each convolution outside
      of the longest chain.
    - G4: element-wise operations, copies and, as in the paper, depthwise convolutions, with their full cost.
    """
    found = [violation for operation in operations for violation in _layer_violations(operation, model)]
    return found + [
        Violation(
            block.name,
            'G3',
            f'{block.convolutions} convolutions, {block.depth} deep',
            0,
            block.fragments * model.prices['operation'],
        )
        for block in blocks(operations)
        if block.fragments
    ]


def _layer_violations(operation: Operation, model: LatencyModel) -> list[Violation]:
    convolution = operation.convolution
    if is_depthwise(operation) or operation.kind in (Kind.ELEMENTWISE, Kind.DATA_MOVEMENT):
        what = (
            f'depthwise {_kernel(convolution)}, {convolution.in_channels} channels'
            if convolution
            else operation.operator.strip('_')
        )
        return [Violation(operation.layer, 'G4', what, operation.mac, model.seconds(operation))]
    if convolution is None:
        return []
    found = []
    price = model.prices[operation.kind]
    if convolution.in_channels != convolution.out_channels:
        above = convolution_mac(convolution) - least_mac(convolution)
        widths = f'{convolution.in_channels} -> {convolution.out_channels} channels'
        found.append(Violation(operation.layer, 'G1', f'{_kernel(convolution)}, {widths}', above, above * price))
    if convolution.groups > 1:
        above = convolution.out_positions * convolution.out_channels * (1 - 1 / convolution.groups)
        found.append(
            Violation(
                operation.layer, 'G2', f'{_kernel(convolution)}, {convolution.groups} groups', above, above * price
            )
        )
    return found


def _kernel(convolution: Convolution) -> str:
    return 'x'.join(map(str, convolution.kernel_size)) or 'linear'


class Block(NamedTuple):
    """Operations between two points at which the network has a single tensor."""

    #: Common prefix of the names of its layers.
    name: str
    convolutions: int
    #: Convolutions in its longest chain.
    depth: int

    @property
    def fragments(self) -> int:
        """Convolutions outside of the longest chain."""
        return self.convolutions - self.depth


def blocks(operations: Sequence[Operation]) -> list[Block]:
    """The blocks of a network that have convolutions, in order.

    The paper's guideline 3 counts the convolutions of a building block. A block ends where only a single tensor is used
    later: a residual block, an inception block or a unit of ShuffleNet is a block, and so is each layer of a plain
    chain. The length of a chain is depth and not fragmentation, so only the convolutions outside of a block's longest
    chain count as fragments. Linear layers are counted as convolutions.
    """
    last_reader = {source: index for index, operation in enumerate(operations) for source in operation.sources}
    found: list[Block] = []
    start, pending = 0, {-1}
    for index in range(len(operations)):
        pending = {source for source in pending | {index} if last_reader.get(source, -1) > index}
        if len(pending) <= 1:
            found.append(_block(operations, start, index + 1))
            start = index + 1
    return [block for block in found if block.convolutions]


def _block(operations: Sequence[Operation], start: int, end: int) -> Block:
    depths: dict[int, int] = {}
    for index in range(start, end):
        operation = operations[index]
        depth = max((depths[source] for source in operation.sources if source >= start), default=0)
        depths[index] = depth + (operation.convolution is not None)
    names = [operation.layer.split('.') for operation in operations[start:end] if operation.convolution]
    common = takewhile(lambda parts: len(set(parts)) == 1, zip(*names))
    return Block('.'.join(parts[0] for parts in common), len(names), max(depths.values()))
