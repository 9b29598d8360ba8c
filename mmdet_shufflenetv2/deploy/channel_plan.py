"""Which channel enters which unit of a stage: the whole idea of the shuffle-free form, without a single weight.

A stage is a first unit, whose two branches make all channels, and basic units, each of which works on one half of the
channels and lets the other pass. The shuffle between them decides which half a channel is in, and it is fixed by the
architecture: so for every channel that a convolution makes, it is known beforehand which unit will consume it. Make
each convolution put out its channels ordered by consumer, and every unit finds its input in a few whole slices: nothing
is shuffled, and a channel that passes is not touched at all until its unit comes.

An example to redo on paper: 8 channels, a first unit with branches a and b, two basic units c and d, torchvision's
shuffle ``x0 y0 x1 y1 x2 y2 x3 y3`` of what passed (x) and what was made (y). A bar separates the halves; the unit
processes the right half::

    after the first unit   a0 b0 a1 b1 | a2 b2 a3 b3      unit 1 makes c0 c1 c2 c3 of a2 b2 a3 b3
    after unit 1           a0 c0 b0 c1 | a1 c2 b1 c3      unit 2 makes d0 d1 d2 d3 of a1 c2 b1 c3
    after unit 2           a0 d0 c0 d1 b0 d2 c1 d3        the stage's output

So a2 and a3 go to unit 1, a1 to unit 2, a0 to the end; and branch a orders its channels ``a2 a3 | a1 | a0``, branch b
``b2 b3 | b1 | b0``, unit 1 ``c2 c3 | c0 c1``. Unit 1 reads ``a2 a3  b2 b3``, unit 2 ``a1  b1  c2 c3``, the end
``a0  b0  c0 c1  d0 d1 d2 d3``: slices only, no shuffle, and the weights' columns are permuted to match.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ['UNUSED', 'Slice', 'StagePlan', 'plan_stage']

#: In an order, stands for a channel that the consumer does not use: padding, or, in a slice for several consumers, a
#: channel of another consumer. Its values are arbitrary and need not be zero.
UNUSED = -1


class Slice(NamedTuple):
    """Channels that leave a producer together."""

    width: int
    #: The basic units that read it; their count stands for the end of the stage.
    consumers: tuple[int, ...]


class StagePlan(NamedTuple):
    """Orders and slices of one stage. Producers are the first unit's two branches, then each basic unit.

    A channel's number is its place where the original network has it, or :data:`UNUSED`.
    """

    #: A producer: the order in which it puts out its channels.
    produced: list[list[int]]
    #: A producer: its slices, in that order.
    slices: list[list[Slice]]
    #: A basic unit: the order in which it reads the channels that it works on.
    consumed: list[list[int]]
    #: The order in which the stage's output leaves it.
    output: list[int]


def plan_stage(units: Sequence[Any], widths: tuple[int, int], block: int = 1) -> StagePlan:
    """Follow every channel through a stage.

    The units' own ``part`` and ``join`` are run on channel numbers, so that any way of shuffling is followed.

    Args:
        units: The first unit of the stage and the basic units behind it.
        widths: Channels that each of the first unit's branches makes.
        block: Each slice is filled up with zero channels to a multiple of this; small ones are put together first.
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
    """Consumer of each channel, the channels that each producer makes, and those that each consumer reads."""
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
    """A number of its own for every channel of the stage, as a feature map of size 1x1."""
    return (torch.arange(width) + producer * _MOST_CHANNELS).view(1, -1, 1, 1)


def _places(labels: Sequence[int], among: Sequence[int]) -> list[int]:
    place = {label: number for number, label in enumerate(among)} | {UNUSED: UNUSED}
    return [place[label] for label in labels]


#: What reading a channel at the end of a stage costs, in reads by a basic unit: the next stage's first unit is twice as
#: wide, and has a second branch at a quarter of the size.
_END_READS = 2.5


def _cut(groups: Sequence[tuple[int, int]], block: int, end: int) -> list[tuple[int, int]]:
    """Where to cut a producer's channels into slices so that padding costs fewest multiply-adds.

    A slice of its own for every consumer is padded to whole blocks; one for several consumers saves padding, but each
    of them reads all of it. Every channel of a slice costs one production and one reading a consumer. ``groups`` are
    each consumer and the number of its channels; what is returned are first and last (exclusive) group of each slice.
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
