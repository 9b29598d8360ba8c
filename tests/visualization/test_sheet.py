import numpy as np
import pytest

from mmdet_shufflenetv2.visualization import make_sheet


@pytest.mark.parametrize(('count', 'columns', 'expected'), [(1, 4, 1), (4, 4, 1), (5, 4, 2), (3, 2, 2)])
def test_images_fill_row_after_row(count, columns, expected):
    sheet = make_sheet([np.zeros((50, 50, 3), np.uint8)] * count, [''] * count, columns=columns, side=100)
    black = (sheet == 0).all(axis=2)
    assert black.sum() == pytest.approx(count * 100 * 100, rel=0.02)
    rows = np.diff(black.any(axis=1).astype(int))
    assert (rows == 1).sum() == expected


def test_images_keep_their_proportions():
    black = (make_sheet([np.zeros((30, 60, 3), np.uint8)], [''], side=100) == 0).all(axis=2)
    y, x = np.nonzero(black)
    assert (x.max() - x.min() + 1, y.max() - y.min() + 1) == (100, 50)


def test_a_long_caption_stays_below_its_image():
    image = np.full((50, 50, 3), 200, np.uint8)
    sheet = make_sheet([image, image], ['a name that is much too long for its image', ''], side=100)
    assert (sheet[-26:, 110:] == 255).all()
