"""Tasks and contenders of a benchmark."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

__all__ = ['Contender', 'Task', 'UnavailableError']


class UnavailableError(Exception):
    """A runtime or package is not installed or cannot run this network. The message gives the reason."""


class Task(NamedTuple):
    """One network on one input.

    With a ``config``, a detector is measured from a resized image to boxes; without one, only the backbone from a
    normalized image to the features of stage2, stage3 and stage4.
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
        """The network and its input size."""
        network = f'ShuffleNet V2 {self.widen_factor}x' if self.config is None else self.config
        return f'{network} at {self.height}x{self.width}'


class Contender(NamedTuple):
    """One form of the network, in one runtime."""

    name: str
    #: Builds the call to time, which takes no arguments. Raises :class:`UnavailableError`.
    build: Callable[[], Callable[[], object]]
    #: Name of the same form that is not shuffle-free.
    plain: str | None = None
    #: Whether building it runs it once, so that the memory of its first run cannot be measured.
    runs_when_built: bool = False
