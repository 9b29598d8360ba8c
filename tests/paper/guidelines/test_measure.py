import pytest

from mmdet_shufflenetv2.paper.guidelines import measure
from mmdet_shufflenetv2.paper.guidelines.measure import MIN_ROUNDS, measure_table
from mmdet_shufflenetv2.paper.guidelines.tables import TABLES
from mmdet_shufflenetv2.paper.guidelines.verdict import Verdict


@pytest.fixture
def seconds(monkeypatch):
    """Seconds of each row, to be set by the test; nothing is run."""
    given = {}
    rounds_used = []

    def timed(calls, *, rounds, **_):
        rounds_used.append(rounds)
        return {name: [given[name]] * rounds for name in calls}

    monkeypatch.setattr(measure, 'time_alternating', timed)
    monkeypatch.setattr(measure, 'make_call', lambda *args: None)
    given.update(rounds_used=rounds_used)
    return given


def test_rows_are_compared_to_the_claimed_order(seconds):
    seconds.update({'ReLU, shortcut': 0.5, 'ReLU': 0.2, 'shortcut': 0.25, 'neither': 0.1})
    result = measure_table('G4', 'arm', progress=False)
    assert [m.cost.row for m in result.measurements] == [row.name for row in TABLES['G4'].rows] * 3
    assert [m.speed for m in result.measurements[:4]] == pytest.approx([2, 5, 4, 10])
    assert [m.relative for m in result.measurements[:4]] == pytest.approx([0.2, 0.5, 0.4, 1])
    paper = [m.paper_relative for m in result.measurements[:4]]
    assert paper == pytest.approx([56.7 / 66.3, 61.9 / 66.3, 57.3 / 66.3, 1])
    assert len(result.pairs) == 3 * 5
    assert result.verdict() == result.verdict(size=2) == Verdict.HOLDS


def test_one_row_out_of_order_fails_the_guideline(seconds):
    seconds.update({'1:1': 0.2, '1:2': 0.1, '1:6': 0.3, '1:12': 0.4})
    result = measure_table('G1', 'gpu', progress=False)
    assert result.verdict() == Verdict.FAILS
    assert [(p.faster, p.slower) for p in result.pairs if p.comparison.verdict == Verdict.FAILS] == [('1:1', '1:2')] * 3


@pytest.mark.parametrize(('each', 'rounds'), [(0.01, 250), (10, MIN_ROUNDS)])
def test_a_column_is_timed_for_its_duration_but_at_least_the_minimum_of_rounds(seconds, each, rounds):
    seconds.update(dict.fromkeys((row.name for row in TABLES['G2'].rows), each))
    measure_table('G2', 'arm', seconds=10, progress=False)
    assert seconds['rounds_used'] == [1, rounds] * 3
