"""Tables 1 to 4 of the ShuffleNet V2 paper: rows, widths, speeds, and the claimed order of the rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import NamedTuple

from torch import nn

from .networks import balanced, bottlenecks, fragmented, grouped

__all__ = ['FAMILIES', 'SIZES', 'TABLES', 'Row', 'Table']

#: Columns of a table: channels times 1, 2 and 4.
SIZES = (1, 2, 4)

#: The paper's two sets of channel counts -> the machine of its speeds.
FAMILIES = {'gpu': 'GTX 1080 Ti', 'arm': 'Snapdragon 810'}


class Row(NamedTuple):
    """One network of a table in all sizes."""

    name: str
    #: Builds the network from channel counts.
    network: Callable[..., nn.Module]
    #: Channel counts at x1 by family.
    channels: dict[str, tuple[int, ...]]
    #: Images per second in the paper at x1, x2, x4 by family.
    speeds: dict[str, tuple[float, float, float]]

    def widths(self, family: str, size: int) -> tuple[int, ...]:
        """The paper's channel counts at that size."""
        return tuple(channels * size for channels in self.channels[family])

    def build(self, family: str, size: int) -> nn.Module:
        """The network at that size, with random weights."""
        return self.network(*self.widths(family, size)).eval()


class Table(NamedTuple):
    """One guideline and the networks that demonstrate it."""

    title: str
    rows: tuple[Row, ...]
    #: Index of the row that follows the guideline; speeds are shown relative to it.
    best: int
    #: The claimed order as (faster, slower) row indices, transitively complete.
    claims: tuple[tuple[int, int], ...]


def _row(
    name: str,
    network: Callable[..., nn.Module],
    gpu: tuple[int, ...],
    gpu_speeds: tuple[float, float, float],
    arm: tuple[int, ...],
    arm_speeds: tuple[float, float, float],
) -> Row:
    return Row(name, network, dict(gpu=gpu, arm=arm), dict(gpu=gpu_speeds, arm=arm_speeds))


_IN_ORDER = tuple(combinations(range(4), 2))

TABLES = {
    'G1': Table(
        'equal channel width (c1:c2)',
        (
            _row('1:1', balanced, (128, 128), (1480, 723, 232), (32, 32), (76.2, 21.7, 5.3)),
            _row('1:2', balanced, (90, 180), (1296, 586, 206), (22, 44), (72.9, 20.5, 5.1)),
            _row('1:6', balanced, (52, 312), (876, 489, 189), (13, 78), (69.1, 17.9, 4.6)),
            _row('1:12', balanced, (36, 432), (748, 392, 163), (9, 108), (57.6, 15.1, 4.4)),
        ),
        best=0,
        claims=_IN_ORDER,
    ),
    'G2': Table(
        'few groups',
        (
            _row('1 group', partial(grouped, groups=1), (128,), (2451, 1289, 437), (64,), (40.0, 10.2, 2.3)),
            _row('2 groups', partial(grouped, groups=2), (180,), (1725, 873, 341), (90,), (35.0, 9.5, 2.2)),
            _row('4 groups', partial(grouped, groups=4), (256,), (1026, 644, 338), (128,), (32.9, 8.7, 2.1)),
            _row('8 groups', partial(grouped, groups=8), (360,), (634, 445, 230), (180,), (27.8, 7.5, 1.8)),
        ),
        best=0,
        claims=_IN_ORDER,
    ),
    'G3': Table(
        'little fragmentation',
        (
            _row('1 fragment', partial(fragmented, fragments=1), (128,), (2446, 1274, 434), (64,), (40.2, 10.1, 2.3)),
            _row('2 in series', partial(fragmented, fragments=2), (90,), (1790, 909, 336), (45,), (38.6, 10.1, 2.2)),
            _row('4 in series', partial(fragmented, fragments=4), (64,), (752, 745, 349), (32,), (38.4, 10.1, 2.3)),
            _row(
                '2 in parallel',
                partial(fragmented, fragments=2, parallel=True),
                (90,),
                (1537, 803, 320),
                (45,),
                (33.4, 9.1, 2.2),
            ),
            _row(
                '4 in parallel',
                partial(fragmented, fragments=4, parallel=True),
                (64,),
                (691, 572, 292),
                (32,),
                (35.0, 8.4, 2.1),
            ),
        ),
        best=0,
        claims=((0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (3, 4)),
    ),
    'G4': Table(
        'few element-wise operations',
        (
            _row(
                'ReLU, shortcut',
                partial(bottlenecks, relu=True, shortcut=True),
                (32,),
                (2427, 2066, 1436),
                (32,),
                (56.7, 16.9, 5.0),
            ),
            _row(
                'ReLU',
                partial(bottlenecks, relu=True, shortcut=False),
                (32,),
                (2647, 2256, 1735),
                (32,),
                (61.9, 18.8, 5.2),
            ),
            _row(
                'shortcut',
                partial(bottlenecks, relu=False, shortcut=True),
                (32,),
                (2672, 2121, 1458),
                (32,),
                (57.3, 18.2, 5.1),
            ),
            _row(
                'neither',
                partial(bottlenecks, relu=False, shortcut=False),
                (32,),
                (2842, 2376, 1782),
                (32,),
                (66.3, 20.2, 5.4),
            ),
        ),
        best=3,
        claims=((3, 1), (3, 2), (3, 0), (1, 0), (2, 0)),
    ),
}
