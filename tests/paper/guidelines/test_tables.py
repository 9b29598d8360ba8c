import re

import pytest
from conftest import SHARED, needs_shared

from mmdet_shufflenetv2.paper.guidelines.tables import FAMILIES, TABLES


def paper_rows(guideline):
    """The rows of a guideline's Markdown table in the notes on the paper, as lists of cells."""
    section = (SHARED / 'paper.md').read_text().split(f'\n{guideline}, ')[1].split('\n\n')[0]
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in section.splitlines() if line[:1] == '|']
    return rows[2:]


def numbers(cells):
    return [float(number) for cell in cells for number in re.findall(r'[\d.]+', cell)]


@needs_shared('paper.md')
@pytest.mark.parametrize('guideline', ['G1', 'G2', 'G3'])
def test_widths_and_speeds_are_the_papers(guideline):
    for row, cells in zip(TABLES[guideline].rows, paper_rows(guideline), strict=True):
        ours = [*row.channels['gpu'], *row.speeds['gpu'], *row.channels['arm'], *row.speeds['arm']]
        assert ours == numbers(cells[1:])
        assert re.findall(r'\d+', row.name) == re.findall(r'\d+', cells[0])


@needs_shared('paper.md')
def test_speeds_of_the_bottlenecks_are_the_papers():
    for row, cells in zip(TABLES['G4'].rows, paper_rows('G4'), strict=True):
        assert [*row.speeds['gpu'], *row.speeds['arm']] == numbers(cells[2:])
        assert ['ReLU' in row.name, 'shortcut' in row.name] == [cell == 'yes' for cell in cells[:2]]
        assert row.channels == dict(gpu=(32,), arm=(32,))


@pytest.mark.parametrize('guideline', list(TABLES))
def test_the_claimed_order_matches_the_papers_gpu_speeds(guideline):
    table = TABLES[guideline]
    for faster, slower in table.claims:
        first, second = table.rows[faster].speeds['gpu'], table.rows[slower].speeds['gpu']
        # x4 is not compared: there the paper's own order differs for four in series in table 3.
        assert first[0] > second[0]
        assert first[1] > second[1]
    assert all(
        row.speeds[family][0] <= table.rows[table.best].speeds[family][0] for row in table.rows for family in FAMILIES
    )


@pytest.mark.parametrize('guideline', list(TABLES))
def test_claims_are_transitively_complete(guideline):
    claims = set(TABLES[guideline].claims)
    assert {(a, d) for a, b in claims for c, d in claims if b == c} <= claims
