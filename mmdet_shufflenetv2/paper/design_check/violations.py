"""Each layer and block at which a network violates one of the four guidelines, with its price."""

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
    #: Elements read and written beyond what the guideline would cost.
    elements: float
    #: What these cost here, by the latency model.
    seconds: float


def find_violations(operations: Sequence[Operation], model: LatencyModel) -> list[Violation]:
    """All violations of a network on one image: first those of its layers in order, then its fragmented blocks.

    - G1: a convolution or linear layer of unequal channel widths. Priced by its memory access cost above the lower
      bound.
    - G2: a group convolution. Priced by its memory access cost above that of a dense convolution with as many
      multiply-adds and input channels.
    - G3: a block with convolutions side by side. Priced by an operation's fixed cost for each beside the longest chain.
    - G4: element-wise operations, copies and, as in the paper, depthwise convolutions. Priced in full.
    """
    found = [violation for operation in operations for violation in _breaks_of(operation, model)]
    return found + [
        Violation(block.name, 'G3', f'{block.convolutions} convolutions, {block.depth} deep', 0,
                  block.fragments * model.prices['operation'])
        for block in blocks(operations) if block.fragments]


def _breaks_of(operation: Operation, model: LatencyModel) -> list[Violation]:
    convolution = operation.convolution
    if is_depthwise(operation) or operation.kind in (Kind.ELEMENTWISE, Kind.DATA_MOVEMENT):
        what = (f'depthwise {_kernel(convolution)}, {convolution.in_channels} channels' if convolution else
                operation.operator.strip('_'))
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
        above = convolution.out_places * convolution.out_channels * (1 - 1 / convolution.groups)
        found.append(Violation(operation.layer, 'G2', f'{_kernel(convolution)}, {convolution.groups} groups', above,
                           above * price))
    return found


def _kernel(convolution: Convolution) -> str:
    return 'x'.join(map(str, convolution.kernel_size)) or 'linear'


class Block(NamedTuple):
    """Operations between two places where the network is one tensor wide."""

    #: What the names of its layers begin with.
    name: str
    convolutions: int
    #: Convolutions on its longest chain.
    depth: int

    @property
    def fragments(self) -> int:
        """Convolutions beside the longest chain."""
        return self.convolutions - self.depth


def blocks(operations: Sequence[Operation]) -> list[Block]:
    """The blocks of a network that have convolutions, in order.

    The paper's guideline 3 counts the convolutions of a building block. A block ends wherever a single tensor is all
    that goes on: a residual block, an inception block or a unit of ShuffleNet is one, and each layer of a plain chain
    its own. A chain's length is depth and not fragmentation, so what counts is how many convolutions a block has
    beyond its longest chain. Linear layers are convolutions here.
    """
    last_reader = {source: place for place, operation in enumerate(operations) for source in operation.sources}
    found: list[Block] = []
    start, awaited = 0, {-1}
    for place in range(len(operations)):
        awaited = {source for source in awaited | {place} if last_reader.get(source, -1) > place}
        if len(awaited) <= 1:
            found.append(_block(operations, start, place + 1))
            start = place + 1
    return [block for block in found if block.convolutions]


def _block(operations: Sequence[Operation], start: int, end: int) -> Block:
    depths: dict[int, int] = {}
    for place in range(start, end):
        operation = operations[place]
        behind = max((depths[source] for source in operation.sources if source >= start), default=0)
        depths[place] = behind + (operation.convolution is not None)
    names = [operation.layer.split('.') for operation in operations[start:end] if operation.convolution]
    common = takewhile(lambda parts: len(set(parts)) == 1, zip(*names))
    return Block('.'.join(parts[0] for parts in common), len(names), max(depths.values()))
