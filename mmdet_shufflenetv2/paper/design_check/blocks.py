"""Where a network is fragmented: blocks with convolutions side by side.

The paper's guideline 3 counts the convolutions of a building block. Which operations form a block is read off the data:
a block ends wherever a single tensor is all that goes on. A residual block, an inception block or a unit of ShuffleNet
is one then, and each layer of a plain chain its own. A chain's length is depth and not fragmentation, so what counts is
how many convolutions a block has beyond its longest chain. Linear layers are convolutions here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from ...profiling.memory_access import Operation

__all__ = ['Block', 'blocks']


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
    """The blocks of a network that have convolutions, in order."""
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
