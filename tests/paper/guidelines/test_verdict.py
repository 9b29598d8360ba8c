import numpy as np
import pytest

from mmdet_shufflenetv2.paper.guidelines.verdict import Verdict, compare, verdict

QUIET = [1.0] * 70


@pytest.mark.parametrize(
    ('slower', 'expected'),
    [
        ([1.25] * 70, Verdict.HOLDS),
        ([0.8] * 70, Verdict.FAILS),
        ([1.0] * 70, Verdict.UNDECIDED),
        ([1.01] * 70, Verdict.UNDECIDED),  # not distinguishable from the effect of memory addresses
        ([1.25] * 60 + [0.9] * 10, Verdict.UNDECIDED),  # the last part of the run disagrees
        ([1.25, 1.25, 0.5, 1.25, 9.0] * 14, Verdict.HOLDS),  # disturbed rounds in every part
    ],
)
def test_a_claim_holds_if_all_parts_of_the_run_agree(slower, expected):
    assert compare(QUIET, slower).verdict == expected


def test_the_ratio_and_its_spread_are_computed_per_round():
    faster = np.linspace(1, 2, 70)
    ratio, low, high, _ = compare(faster, faster * np.repeat([1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], 10))
    assert (ratio, low, high) == pytest.approx((1.4, 1.1, 1.7))


def test_slowdowns_of_both_have_no_effect():
    drift = np.geomspace(1, 100, 70)
    assert compare(drift, 1.1 * drift).verdict == Verdict.HOLDS


def test_swapping_the_sides_reverses_the_verdict():
    noisy = np.random.default_rng(0).uniform(1.1, 1.5, 70)
    assert compare(QUIET, noisy).verdict == Verdict.HOLDS
    assert compare(noisy, QUIET).verdict == Verdict.FAILS


@pytest.mark.parametrize(
    ('pairs', 'expected'),
    [
        ([Verdict.HOLDS, Verdict.HOLDS], Verdict.HOLDS),
        ([Verdict.HOLDS, Verdict.UNDECIDED], Verdict.UNDECIDED),
        ([Verdict.FAILS, Verdict.UNDECIDED, Verdict.HOLDS], Verdict.FAILS),
    ],
)
def test_an_order_has_the_verdict_of_its_worst_pair(pairs, expected):
    assert verdict(pairs) == expected
