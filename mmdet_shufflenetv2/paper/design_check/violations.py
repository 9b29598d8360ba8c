"""Each layer and block at which a network violates one of the four guidelines, with its price."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...profiling.memory_access import Convolution, Kind, Operation, convolution_mac, least_mac
from .blocks import blocks
from .latency import LatencyModel, is_depthwise

__all__ = ['Violation', 'find_violations']


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
    found = []
    for operation in operations:
        found += _breaks_of(operation, model)
    for block in blocks(operations):
        if block.fragments:
            found.append(Violation(
                block.name, 'G3', f'{block.convolutions} convolutions, {block.depth} deep', 0,
                block.fragments * model.prices['operation']))
    return found


def _breaks_of(operation: Operation, model: LatencyModel) -> list[Violation]:
    convolution = operation.convolution
    if is_depthwise(operation):
        return [_elementwise(operation, f'depthwise {_kernel(convolution)}, {convolution.in_channels} channels', model)]
    if operation.kind in (Kind.ELEMENTWISE, Kind.DATA_MOVEMENT):
        return [_elementwise(operation, operation.operator.strip('_'), model)]
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


def _elementwise(operation: Operation, what: str, model: LatencyModel) -> Violation:
    return Violation(operation.layer, 'G4', what, operation.mac, model.seconds(operation))


def _kernel(convolution: Convolution) -> str:
    return 'x'.join(map(str, convolution.kernel_size)) or 'linear'
