"""What is measured, and what a form of a network is to the measurement."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

__all__ = ['Contender', 'Task', 'UnavailableError']


class UnavailableError(Exception):
    """A runtime or peer that is not installed, or that cannot run this network; says why."""


class Task(NamedTuple):
    """One network on one input.

    With ``config`` a whole detector is measured, from a resized image to boxes; without, the backbone alone, from
    normalised images to the features of stage2, stage3 and stage4.
    """

    height: int
    width: int
    threads: int = 2
    device: str = 'cpu'
    widen_factor: float = 1.0
    config: str | None = None
    checkpoint: str | None = None

    @property
    def title(self) -> str:
        """The network and its input in words."""
        network = f'ShuffleNet V2 {self.widen_factor}x' if self.config is None else self.config
        return f'{network} at {self.height}x{self.width}'


class Contender(NamedTuple):
    """One form of the network."""

    name: str
    #: Makes what is to be timed: a call without arguments. Raises :class:`UnavailableError`.
    build: Callable[[], Callable[[], object]]
    #: Name of the form from which it differs by being shuffle-free alone.
    plain: str | None = None
    #: It has run once when it is built, so what its first run needs cannot be told afterwards.
    runs_when_built: bool = False
