import json

import numpy as np
import pytest

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.config.options import PredictOptions
from mmdet_shufflenetv2.inference.objects import Region, has_wanted_size

TRIANGLE = [[10, 10], [90, 10], [10, 90]]


def boxes(count=200):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 80, (count, 2))
    return np.concatenate([corners, corners + rng.uniform(1, 30, (count, 2))], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ('region', 'content'),
    [
        (('10', '10', '90', '10', '10', '90'), None),
        ([10, 10, 90, 10, 10, 90], None),
        ('zone.json', TRIANGLE),
        (('zone.json',), [TRIANGLE]),
        ('zone.json', dict(shapes=[dict(label='zone', shape_type='polygon', points=TRIANGLE)], imagePath='a.jpg')),
    ],
)
def test_region_is_numbers_or_a_file(region, content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'zone.json').write_text(json.dumps(content))
    x, y = ((boxes()[:, :2] + boxes()[:, 2:]) / 2).T
    expected = (x >= 10) & (y >= 10) & (x + y <= 100)
    assert 20 < expected.sum() < 180
    np.testing.assert_array_equal(Region(region)(boxes(), 100, 100), expected)


def test_region_matches_supervision():
    sv = pytest.importorskip('supervision')
    corners = np.array([(20, 5), (95, 20), (50, 50), (90, 95), (10, 80)])  # not convex
    zone = sv.PolygonZone(corners, triggering_anchors=[sv.Position.CENTER])
    inside = Region(corners.ravel().tolist())(boxes(), 100, 100)
    # It draws the polygon, so a center on its border may count otherwise.
    assert (inside == zone.trigger(sv.Detections(boxes()))).mean() > 0.97


def test_two_corners_are_a_rectangle_and_polygons_are_joined():
    found = np.array([[0, 0, 10, 10], [50, 50, 60, 60], [30, 30, 34, 34]], np.float32)
    assert Region([8, 8, 2, 2])(found, 100, 100).tolist() == [True, False, False]
    region = Region([0, 0, 20, 20])
    region.polygons += Region([50, 50, 70, 50, 50, 70]).polygons
    assert region(found, 100, 100).tolist() == [True, True, False]
    assert Region(None)(found, 100, 100).all()


@pytest.mark.parametrize(
    ('region', 'words'),
    [
        ((1, 2, 3), 'region=1 2 3: expected X1 Y1 X2 Y2 in pixels'),
        ((1, 2, 3, 4, 5), 'region=1 2 3 4 5: expected'),
        (('left', 'half'), 'region=left half: expected'),
        ((10, 10, 10, 90), 'with an area'),
        ((0, 0, 'nan', 9), 'with an area'),
        ((0.1, 0.1, 0.5, 0.9), 'not fractions'),
        ('nowhere.json', 'region=nowhere.json: No such file'),
        ('text.json', 'region=text.json has no corners'),
        ('empty.json', 'region=empty.json has no corners'),
        ('flat.json', 'with an area'),
        ('names.json', 'with an area'),
    ],
)
def test_rejects_invalid_region(region, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in dict(text='hello', empty='[]', flat='[[1, 2], [3, 2]]', names='[[["a", 1], [2, 3]]]').items():
        (tmp_path / f'{name}.json').write_text(text)
    with pytest.raises(UserError, match=words):
        Region(region)


def test_region_outside_all_images_is_reported():
    region = Region([200, 200, 300, 300])
    region(boxes(), 100, 100)
    with pytest.raises(UserError, match='outside of all images'):
        region.check_seen()
    region(boxes(), 100, 250)
    with pytest.raises(UserError, match='outside of all images'):
        region.check_seen()
    region(boxes(), 250, 250)
    region.check_seen()


@pytest.mark.parametrize(
    ('sizes', 'kept'),
    [({}, [0, 1, 2]), (dict(min_size=10), [1, 2]), (dict(max_size=10), [0, 1]), (dict(min_size=6, max_size=20), [1])],
)
def test_size_is_the_longer_side(sizes, kept):
    found = np.array([[0, 0, 5, 2], [0, 0, 3, 10], [0, 0, 30, 1]], np.float32)
    options = PredictOptions(None, 'w.pth', ['a.jpg'], **sizes)
    assert np.flatnonzero(has_wanted_size(found, options)).tolist() == kept
