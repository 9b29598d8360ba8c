"""Widths, depths and strides of the published networks.

They are the networks of table 5 of the ShuffleNet V2 paper and ShuffleNet V2-50 of its appendix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ...utils.errors import UserError

__all__ = ['DEEP', 'TABLE_5', 'VARIANTS', 'Architecture', 'get_architecture']


class Architecture(NamedTuple):
    """Widths, depths and strides of one network. The first stage is called stage2, as in the paper."""

    #: Channels of the stem.
    stem: int
    #: Channels of each stage.
    stages: tuple[int, ...]
    #: Units of each stage, including the first unit, which may downsample.
    depths: tuple[int, ...]
    #: Stride of each stage's first unit.
    strides: tuple[int, ...]
    #: Channels of the 1x1 convolution after the stages.
    last: int
    #: Dilation of each stage's depthwise convolutions.
    dilations: tuple[int, ...] = ()

    @property
    def part_names(self) -> list[str]:
        """Names of the parts after the stem: ``stage2``, ``stage3``, ``stage4``, ``conv5``."""
        names = [f'stage{number}' for number in range(2, len(self.stages) + 2)]
        return [*names, f'conv{len(self.stages) + 2}']

    @property
    def channels(self) -> tuple[int, ...]:
        """Output channels of the stem and of each part."""
        return (self.stem, *self.stages, self.last)

    @property
    def feature_strides(self) -> tuple[int, ...]:
        """Output stride of the stem and of each part, in input pixels."""
        strides = [4]
        for stride in self.strides:
            strides.append(strides[-1] * stride)
        return (*strides, strides[-1])


#: widen_factor -> network (table 5).
TABLE_5 = {
    0.5: Architecture(24, (48, 96, 192), (4, 8, 4), (2, 2, 2), 1024),
    1.0: Architecture(24, (116, 232, 464), (4, 8, 4), (2, 2, 2), 1024),
    1.5: Architecture(24, (176, 352, 704), (4, 8, 4), (2, 2, 2), 1024),
    2.0: Architecture(24, (244, 488, 976), (4, 8, 4), (2, 2, 2), 2048),
}

#: depth -> network (appendix; its conv2_x to conv5_x and conv6 are stage2 to stage5 and conv6 here).
DEEP = {50: Architecture(64, (244, 488, 976, 1952), (3, 4, 6, 3), (1, 2, 2, 2), 2048)}

#: The two published implementations of the network, see :mod:`.shuffle_unit`.
VARIANTS = ('torchvision', 'authors')


def get_architecture(
    widen_factor: float,
    depth: int | None,
    stage_channels: Sequence[int] | None,
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
) -> Architecture:
    """Return the network that these arguments of the backbone describe.

    Raises:
        UserError: If an argument is out of range. The message lists the allowed values.
    """
    if depth is not None and depth not in DEEP:
        raise UserError(
            f'Unknown depth={depth!r}: allowed are {", ".join(map(str, DEEP))}, or None for the networks '
            f'of table 5, which widen_factor selects.'
        )
    if widen_factor not in TABLE_5:
        raise UserError(
            f'Unknown widen_factor={widen_factor!r}: allowed are {", ".join(map(str, TABLE_5))}. For '
            f'other widths set stage_channels=(a, b, c).'
        )
    if depth is not None and widen_factor != 1.0:
        raise UserError(
            f'depth={depth} and widen_factor={widen_factor} cannot be combined: the deep variants have '
            f'one width. For other widths set stage_channels.'
        )
    net = TABLE_5[widen_factor] if depth is None else DEEP[depth]
    stages = ', '.join(net.part_names[:-1])
    if stage_channels is not None:
        count = {3: 'three', 4: 'four'}[len(net.stages)]
        what = f'{count} even widths, one for each of {stages}, such as {net.stages}'
        channels = _numbers('stage_channels', stage_channels, net, lambda c: c >= 2 and c % 2 == 0, what)
        net = net._replace(stages=channels)
    if strides is not None:
        what = f'1 or 2 for each of {stages}, such as {net.strides}'
        net = net._replace(strides=_numbers('strides', strides, net, lambda s: s in (1, 2), what))
    ones = (1,) * len(net.stages)
    what = f'a number of at least 1 for each of {stages}, such as {ones}'
    dilations = ones if dilations is None else dilations
    return net._replace(dilations=_numbers('dilations', dilations, net, lambda d: d >= 1, what))


def _numbers(
    name: str, given: Sequence[int], net: Architecture, is_valid: Callable[[int], bool], what: str
) -> tuple[int, ...]:
    numbers = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    if len(numbers) != len(net.stages) or any(type(n) is not int or not is_valid(n) for n in numbers):
        raise UserError(f'Invalid {name}={given!r}: expected {what}.')
    return numbers
