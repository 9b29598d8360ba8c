import re

import pytest
from conftest import SHARED, needs_shared

from mmdet_shufflenetv2.paper.reproduce.rows import (
    COCO_IMAGES_PER_SECOND,
    COCO_MMAP,
    IMAGENET,
    LEVELS,
    NANODET_PLUS_MMAP,
)


def paper_rows(heading):
    """Cells of the table below a heading of the notes on the paper."""
    section = (SHARED / 'paper.md').read_text().split(f'### {heading}')[1].split('###')[0]
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in section.splitlines() if line[:1] == '|']
    return rows[0], rows[2:]


@needs_shared('paper.md')
def test_table_8_matches_the_paper():
    _, rows = paper_rows('ImageNet (table 8)')
    found = {
        (float(name.split('x')[0]), 'se' if 'SE' in name else ''): (int(mflops), float(error))
        for name, mflops, error in rows
    }
    assert found == IMAGENET


@needs_shared('paper.md')
def test_table_7_matches_the_paper():
    header, rows = paper_rows('COCO detection (table 7)')
    assert [re.search(r'\d+M', cell)[0] for cell in header[1:]] == [*LEVELS, *LEVELS]
    assert {row[0]: tuple(map(float, row[1:5])) for row in rows} == COCO_MMAP
    assert {row[0]: tuple(map(int, row[5:])) for row in rows} == COCO_IMAGES_PER_SECOND


@needs_shared('nanodet_plus.md')
def test_nanodet_plus_matches_the_release():
    rows = re.findall(r'^\| m(?:-(1\.5)x)? (\d+) \| ([\d.]+) ', (SHARED / 'nanodet_plus.md').read_text(), re.M)
    assert {(float(width or 1), int(size)): float(mmap) for width, size, mmap in rows} == NANODET_PLUS_MMAP


@pytest.mark.parametrize('table', [COCO_MMAP, COCO_IMAGES_PER_SECOND])
def test_each_backbone_has_a_figure_for_each_level(table):
    assert {len(values) for values in table.values()} == {len(LEVELS)}
