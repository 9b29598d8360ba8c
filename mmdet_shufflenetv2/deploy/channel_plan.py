"""The order of channels in the shuffle-free form: which unit of a stage reads which channel.

A stage has a first unit, whose two branches produce all channels, and basic units. A basic unit processes one half of
the channels and passes the other half through. The shuffle after each unit decides in which half a channel is. It is
fixed by the architecture, so the unit that consumes each channel is known in advance. If every convolution outputs its
channels sorted by consumer, the input of every unit consists of a few slices. Nothing is shuffled, and a channel is not
copied until its consumer reads it.

Example: 8 channels, a first unit with branches a and b, basic units 1 and 2 with outputs c and d, and torchvision's
shuffle ``x0 y0 x1 y1 x2 y2 x3 y3`` of passed channels (x) and new ones (y). A bar separates the halves; a unit
processes the right half::

    after the first unit   a0 b0 a1 b1 | a2 b2 a3 b3      unit 1 makes c0 c1 c2 c3 of a2 b2 a3 b3
    after unit 1           a0 c0 b0 c1 | a1 c2 b1 c3      unit 2 makes d0 d1 d2 d3 of a1 c2 b1 c3
    after unit 2           a0 d0 c0 d1 b0 d2 c1 d3        the stage's output

Unit 1 consumes a2 and a3, unit 2 consumes a1, and a0 goes to the stage's output. So branch a outputs
``a2 a3 | a1 | a0``, branch b ``b2 b3 | b1 | b0`` and unit 1 ``c2 c3 | c0 c1``. Unit 1 reads ``a2 a3  b2 b3``, unit 2
``a1  b1  c2 c3``, and the output is ``a0  b0  c0 c1  d0 d1 d2 d3``. The columns of the weights are permuted to match.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ['UNUSED', 'Slice', 'StagePlan', 'plan_stage']

#: Marks a channel in an order that the consumer does not use: padding, or a channel of another consumer in a shared
#: slice. Its values are arbitrary and need not be zero.
UNUSED = -1


class Slice(NamedTuple):
    """Consecutive channels in the output of a producer."""

    width: int
    #: Indices of the basic units that read it; the number of units means the output of the stage.
    consumers: tuple[int, ...]


class StagePlan(NamedTuple):
    """Orders and slices of one stage. Producers are the first unit's two branches, then each basic unit.

    A channel's number is its index in the original network, or :data:`UNUSED`.
    """

    #: Per producer: the order of its output channels.
    produced: list[list[int]]
    #: Per producer: its slices, in that order.
    slices: list[list[Slice]]
    #: Per basic unit: the order of its input channels, without those that it passes through.
    consumed: list[list[int]]
    #: The order of the stage's output channels.
    output: list[int]


def plan_stage(units: Sequence[Any], widths: tuple[int, int], block: int = 1) -> StagePlan:
    """Follow every channel through a stage.

    The units' own ``part`` and ``join`` are run on channel numbers, so that any kind of shuffle is supported.

    Args:
        units: The first unit of the stage and the basic units after it.
        widths: Channels that each of the first unit's branches makes.
        block: Each slice is padded with zero channels to a multiple of this; small slices are merged first.
    """
    consumer, made, reads = _follow(units, widths)
    end = len(units) - 1
    produced: list[list[int]] = []
    slices: list[list[Slice]] = []
    arriving: list[list[int]] = [[] for _ in reads]
    for labels in made:
        groups = [(unit, [label for label in labels if consumer[label] == unit]) for unit in range(end + 1)]
        groups = [(unit, group) for unit, group in groups if group]
        order: list[int] = []
        slices.append([])
        for first, last in _cut([(unit, len(group)) for unit, group in groups], block, end):
            together = [label for _, group in groups[first:last] for label in group]
            together += [UNUSED] * (-len(together) % block)
            consumers = tuple(unit for unit, _ in groups[first:last])
            order += together
            slices[-1].append(Slice(len(together), consumers))
            for unit in consumers:
                arriving[unit] += [label if consumer.get(label) == unit else UNUSED for label in together]
        produced.append(_places(order, labels))
    *consumed, output = (_places(labels, read) for labels, read in zip(arriving, reads))
    return StagePlan(produced, slices, consumed, output)


def _follow(units: Sequence[Any], widths: tuple[int, int]) -> tuple[dict[int, int], list[list[int]], list[list[int]]]:
    """Consumer of each channel, the output channels of each producer, and the input channels of each consumer."""
    made = [_labels(0, widths[0]), _labels(1, widths[1])]
    consumer: dict[int, int] = {}
    reads: list[list[int]] = []
    state = units[0].merge(*made)
    for number, unit in enumerate(units[1:]):
        passed, worked = unit.split(state)
        reads.append(worked.flatten().tolist())
        consumer.update(dict.fromkeys(reads[-1], number))
        made.append(_labels(number + 2, worked.shape[1]))
        state = unit.merge(passed, made[-1])
    reads.append(state.flatten().tolist())
    consumer.update(dict.fromkeys(reads[-1], len(units) - 1))
    return consumer, [labels.flatten().tolist() for labels in made], reads


_MOST_CHANNELS = 1_000_000


def _labels(producer: int, width: int) -> Tensor:
    """Consecutive numbers for all channels of the stage, as feature maps of size 1x1."""
    return (torch.arange(width) + producer * _MOST_CHANNELS).view(1, -1, 1, 1)


def _places(labels: Sequence[int], among: Sequence[int]) -> list[int]:
    place = {label: number for number, label in enumerate(among)} | {UNUSED: UNUSED}
    return [place[label] for label in labels]


#: Cost of reading a channel at the end of a stage, relative to reading it in a basic unit: the next stage's first unit
#: is twice as wide, and has a second branch at a quarter of the size.
_END_READS = 2.5


def _cut(groups: Sequence[tuple[int, int]], block: int, end: int) -> list[tuple[int, int]]:
    """Split a producer's channels into slices so that padding costs the fewest multiply-adds.

    A separate slice for each consumer is padded to full blocks. A slice for several consumers saves padding, but each
    of them reads all of it. A channel costs one unit for its production and one per consumer that reads its slice.

    Args:
        groups: Consumers with the numbers of their channels.

    Returns:
        First and last (exclusive) group of each slice.
    """
    best: list[tuple[float, list[tuple[int, int]]]] = [(0, [])]
    for last in range(1, len(groups) + 1):
        choices = []
        for first in range(last):
            width = sum(count for _, count in groups[first:last])
            uses = 1 + sum(_END_READS if unit == end else 1 for unit, _ in groups[first:last])
            cost, cuts = best[first]
            choices.append((cost + (width + -width % block) * uses, [*cuts, (first, last)]))
        best.append(min(choices))
    return best[-1][1]
