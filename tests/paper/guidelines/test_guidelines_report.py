import json

import pytest

from mmdet_shufflenetv2.paper.guidelines.measure import Measurement, Pair, TableResult, costs
from mmdet_shufflenetv2.paper.guidelines.report import markdown, save
from mmdet_shufflenetv2.paper.guidelines.suite import Run
from mmdet_shufflenetv2.paper.guidelines.tables import TABLES
from mmdet_shufflenetv2.paper.guidelines.verdict import Comparison, Verdict
from mmdet_shufflenetv2.profiling.memory_access import Kind
from mmdet_shufflenetv2.profiling.timing import Timing


def result(guideline):
    """A table in which only the last claim of x2 fails."""
    rows, claims = TABLES[guideline].rows, TABLES[guideline].claims
    pairs = [
        Pair(size, rows[faster].name, rows[slower].name, Comparison(1.25, 1.2, 1.3, Verdict.HOLDS))
        for size in (1, 2, 4)
        for faster, slower in claims
    ]
    last = max(number for number, pair in enumerate(pairs) if pair.size == 2)
    pairs[last] = pairs[last]._replace(comparison=Comparison(0.8, 0.7, 0.9, Verdict.FAILS))
    measurements = [
        Measurement(cost, Timing(0.004, 0.005, 0.1), 250.0, 50.0, 0.5, (0.4, 0.6), 0.75)
        for cost in costs(guideline, 'arm')
    ]
    return TableResult(guideline, measurements, pairs)


@pytest.fixture
def complete():
    times = {Kind.CONVOLUTION: 0.002, Kind.ELEMENTWISE: 0.001, Kind.DATA_MOVEMENT: 0.0005, Kind.OTHER: 0.0005}
    return Run(
        'AMD EPYC',
        'cpu',
        2,
        'torch 2.15.0',
        'arm',
        [result(guideline) for guideline in TABLES],
        {'0.5x': times, '1.0x': times},
    )


def test_every_row_is_shown_with_the_papers(complete):
    text = markdown(complete)
    assert '| x1 | 1:2 | 22 -> 44 | 60.7M | 4.16M | 0.00M | 250.0 | 10% | 0.50 (0.40 to 0.60) | 50 | 0.75 |' in text
    assert text.count('\n| x') == 3 * (4 + 4 + 5 + 4)
    assert '| 0.5x | 4.00 | 50% | 25% | 12% | 12% |' in text


def test_the_verdict_lists_the_failed_claims(complete):
    text = markdown(complete)
    assert '**G1 does not hold.**\n- x1: holds; 6 of 6 pairs' in text
    assert (
        '- x2: does not hold; 5 of 6 pairs are in the claimed order; not: 1:12 takes 0.80 (0.70 to 0.90) times as '
        'long as 1:6.\n'
    ) in text


def test_a_complete_run_writes_tables_json_and_a_figure(complete, tmp_path):
    from PIL import Image

    files = save(complete, tmp_path / 'new')
    assert [path.name for path in files] == [f'torch_arm_2threads.{end}' for end in ('md', 'json', 'png')]
    read = json.loads(files[1].read_text())
    assert [table['verdict'] for table in read['tables']] == ['does not hold'] * 4
    assert read['tables'][0]['measurements'][1]['cost']['multiply_adds'] == 20 * 56 * 56 * 22 * 44
    assert read['breakdown']['1.0x']['element-wise'] == 0.001
    assert min(Image.open(files[2]).size) > 500


def test_a_partial_run_does_not_overwrite_a_complete_one(complete, tmp_path):
    part = complete._replace(tables=complete.tables[1:2], breakdown={})
    assert [path.name for path in save(part, tmp_path)] == ['torch_arm_2threads_G2.md', 'torch_arm_2threads_G2.json']
