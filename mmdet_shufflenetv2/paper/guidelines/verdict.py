"""Deciding whether the measured order is the claimed one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np

__all__ = ['Comparison', 'Verdict', 'compare', 'verdict']

#: Number of parts that a run is split into; by chance, the same network is faster in all of them only 1 in 64 times.
PARTS = 7

#: Smaller differences are ignored: the memory addresses of the tensors have an effect of this size.
NEGLIGIBLE = 0.02


class Verdict(StrEnum):
    """Result for a claim."""

    HOLDS = 'holds'
    FAILS = 'does not hold'
    #: The spread is larger than the difference.
    UNDECIDED = 'undecided'


class Comparison(NamedTuple):
    """Ratio of the times of the network that should be slower and the other one; 1.25 means 25% longer."""

    ratio: float
    #: Minimum and maximum of the ratio over the parts of the run.
    low: float
    high: float
    verdict: Verdict


def compare(faster: Sequence[float], slower: Sequence[float]) -> Comparison:
    """Test the claim that the first of two calls, timed alternately, takes less time.

    Rounds are compared one by one, so that slowdowns of both have no effect. The run is split into consecutive parts,
    like repeated runs, since a busy machine disturbs many rounds in a row. The claim holds, or fails, only if all parts
    agree.

    Args:
        faster, slower: Seconds of each round, at least 7 rounds.
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
    """The verdict on an order: it holds if all its pairs hold, and fails if one of them fails."""
    found = set(verdicts)
    if Verdict.FAILS in found:
        return Verdict.FAILS
    return Verdict.UNDECIDED if Verdict.UNDECIDED in found else Verdict.HOLDS
