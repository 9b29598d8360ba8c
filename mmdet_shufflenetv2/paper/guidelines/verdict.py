"""Whether a measured order is the one that a guideline claims."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np

__all__ = ['Comparison', 'Verdict', 'compare', 'verdict']

#: A run is cut into this many parts; chance alone seldom puts the same side ahead in all of them (1 in 64).
PARTS = 7

#: Differences below this share say nothing: where a network's tensors come to lie in memory makes as much.
NEGLIGIBLE = 0.02


class Verdict(StrEnum):
    """What the measurement says to a claim."""

    HOLDS = 'holds'
    FAILS = 'does not hold'
    #: The spread is larger than the difference.
    UNDECIDED = 'undecided'


class Comparison(NamedTuple):
    """How much longer the one takes that should take longer: 1.25 says a quarter."""

    ratio: float
    #: Lowest and highest ratio of the parts of the run: its spread.
    low: float
    high: float
    verdict: Verdict


def compare(faster: Sequence[float], slower: Sequence[float]) -> Comparison:
    """Hold two series of rounds, timed in turns, against the claim that the first takes less time.

    Rounds are compared one by one, so what slows both does not count. The run is cut into consecutive parts, as if it
    had been made several times, since a busy machine disturbs many rounds in a row: the claim holds, or fails, only
    where all parts agree.

    Args:
        faster, slower: Seconds of each round, at least 7.
    """
    ratios = np.asarray(slower) / np.asarray(faster)
    parts = [float(np.median(part)) for part in np.array_split(ratios, PARTS)]
    low, high = min(parts), max(parts)
    if low > 1 + NEGLIGIBLE:
        found = Verdict.HOLDS
    elif high < 1 / (1 + NEGLIGIBLE):
        found = Verdict.FAILS
    else:
        found = Verdict.UNDECIDED
    return Comparison(float(np.median(ratios)), low, high, found)


def verdict(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on a whole order: it holds where all of its pairs do, and fails where one of them fails."""
    found = set(verdicts)
    if Verdict.FAILS in found:
        return Verdict.FAILS
    return Verdict.UNDECIDED if Verdict.UNDECIDED in found else Verdict.HOLDS
